"""Date math, time ranges, and dates in the formats that .NET accepts."""
