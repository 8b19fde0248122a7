{{- define "headrace.name" -}}
{{- if contains "headrace" .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-headrace" .Release.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "headrace.labels" -}}
app.kubernetes.io/name: headrace
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- /* The labels by which services and budgets find the pods of one process: (list . "ingest") */ -}}
{{- define "headrace.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: headrace
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- /* What every container of ours has: (list . "ingest" port needsDatabase) */ -}}
{{- define "headrace.container" -}}
{{- $root := index . 0 -}}
{{- $port := index . 2 -}}
{{- $database := index . 3 -}}
name: {{ index . 1 }}
image: "{{ $root.Values.image.repository }}:{{ $root.Values.image.tag | default $root.Chart.AppVersion }}"
imagePullPolicy: {{ $root.Values.image.pullPolicy }}
args: [{{ index . 1 }}]
env:
  - name: HEADRACE_REDIS_URL_FILE
    value: /run/secrets/headrace/redis-url
  {{- if $database }}
  - name: HEADRACE_DATABASE_URL_FILE
    value: /run/secrets/headrace/database-url
  {{- end }}
  {{- if $port }}
  - name: HEADRACE_PORT
    value: {{ $port | quote }}
  {{- end }}
  {{- with $root.Values.trustedProxies }}
  - name: HEADRACE_TRUSTED_PROXIES
    value: {{ join "," . | quote }}
  {{- end }}
  {{- range $name, $value := $root.Values.settings }}
  - name: {{ $name }}
    value: {{ $value | quote }}
  {{- end }}
{{- if $port }}
ports:
  - name: http
    containerPort: {{ $port }}
{{- /* Alive and ready over HTTP: the kubelet asks itself, so no process is started in the container. */}}
startupProbe:
  httpGet: {path: /health/live, port: http}
  periodSeconds: 2
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /health/live, port: http}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 3
readinessProbe:
  httpGet: {path: /health/ready, port: http}
  periodSeconds: 5
  timeoutSeconds: 4
  failureThreshold: 2
{{- end }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
volumeMounts:
  - name: secrets
    mountPath: /run/secrets/headrace
    readOnly: true
  - name: tmp
    mountPath: /tmp
{{- end }}

{{- /* What every pod of ours has: (list . needsDatabase) */ -}}
{{- define "headrace.pod" -}}
{{- $root := index . 0 -}}
serviceAccountName: {{ include "headrace.name" $root }}
automountServiceAccountToken: false
enableServiceLinks: false
terminationGracePeriodSeconds: 30
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile:
    type: RuntimeDefault
volumes:
  - name: tmp
    emptyDir:
      sizeLimit: 64Mi
  - name: secrets
    projected:
      defaultMode: 0440
      sources:
        - secret:
            name: {{ $root.Values.redis.secretName }}
            items:
              - key: {{ $root.Values.redis.secretKey }}
                path: redis-url
        {{- if index . 1 }}
        - secret:
            name: {{ $root.Values.database.secretName }}
            items:
              - key: {{ $root.Values.database.secretKey }}
                path: database-url
        {{- end }}
{{- end }}

{{- /* Where the pods of one process run: (list . "ingest") */ -}}
{{- define "headrace.placement" -}}
{{- $root := index . 0 -}}
{{- $name := index . 1 -}}
{{- $values := index $root.Values $name -}}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "headrace.selector" (list $root $name) | nindent 8 }}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
