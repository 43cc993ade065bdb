#!/usr/bin/env python3
"""png_colours.py FILE RRGGBB...: how many pixels of a PNG have each colour, a number a line."""
import struct
import sys
import zlib


def rows(data):
    """Its rows, as bytes of red, green, blue (and alpha), and the bytes of a pixel."""
    at, width, height, size, packed = 8, 0, 0, 0, b""
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at:at + 8])
        body = data[at + 8:at + 8 + length]
        if kind == b"IHDR":
            width, height, depth, colour = struct.unpack(">IIBB", body[:10])
            assert depth == 8 and colour in (2, 6), "8-bit RGB or RGBA only"
            size = 3 if colour == 2 else 4
        elif kind == b"IDAT":
            packed += body
        at += length + 12
    plain, stride, before = zlib.decompress(packed), width * size, bytearray(width * size)
    for y in range(height):
        line = plain[y * (stride + 1):(y + 1) * (stride + 1)]
        row = bytearray(line[1:])
        for x in range(stride):
            left = row[x - size] if x >= size else 0
            up, corner = before[x], before[x - size] if x >= size else 0
            if line[0] == 1:
                row[x] = (row[x] + left) & 255
            elif line[0] == 2:
                row[x] = (row[x] + up) & 255
            elif line[0] == 3:
                row[x] = (row[x] + (left + up) // 2) & 255
            elif line[0] == 4:
                guess = left + up - corner
                far = (abs(guess - left), abs(guess - up), abs(guess - corner))
                row[x] = (row[x] + (left, up, corner)[far.index(min(far))]) & 255
        yield row, size
        before = row


wanted = [bytes.fromhex(text) for text in sys.argv[2:]]
counts = dict.fromkeys(wanted, 0)
with open(sys.argv[1], "rb") as file:
    for pixels, step in rows(file.read()):
        for i in range(0, len(pixels), step):
            colour = bytes(pixels[i:i + 3])
            if colour in counts:
                counts[colour] += 1
for colour in wanted:
    print(counts[colour])
