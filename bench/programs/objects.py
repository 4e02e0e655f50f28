"""objects.py: dictionaries, lists and strings of small objects; prints one line, always the same."""
import json

state, table = 12345, {}
for i in range(400_000):
    state = (state * 1103515245 + 12345) % 2147483648
    table.setdefault((state >> 8) % 50_000, []).append((i, str(state)))
text = json.dumps({str(key): value for key, value in table.items()})
print(len(table), len(text), sum(len(value) for value in json.loads(text).values()))
