-- Nothing is ever in it: its locks keep transactions on both sides of a midnight apart. See collector/database/midnight.py.
CREATE TABLE midnight_gate ();
