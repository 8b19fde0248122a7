#!/bin/sh
# Makes the passwords of compose.yaml in deploy/compose/secrets (or the directory named), once: those that exist stay.
set -eu
directory=${1:-$(dirname "$0")/secrets}

random() { # 32 bytes from the kernel, in hexadecimal: nothing in it has a meaning in a URL or a configuration
  od -An -N32 -tx1 /dev/urandom | tr -d ' \n'
}

write() { # write NAME TEXT
  printf '%s\n' "$2" > "$directory/$1"
  chmod 444 "$directory/$1"
}

# Only the owner enters the directory. In their containers the files must be readable by users without privileges.
mkdir -p "$directory"
chmod 700 "$directory"
if [ -e "$directory/redis_url" ]; then
  echo "$directory has passwords already; they are kept." >&2
  exit 0
fi
postgres=$(random)
valkey=$(random)
write postgres_password "$postgres"
write database_url "postgresql://headrace:$postgres@postgres:5432/headrace"
write valkey_conf "requirepass $valkey"
# Last: it marks that all are there.
write redis_url "redis://:$valkey@valkey:6379/0"
echo "Passwords are in $directory; keep a copy of them with the backups." >&2
