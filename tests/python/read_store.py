"""Reads a partwise store into a scipy CSR matrix: an independent reader, written from
docs/format.md alone.

    python read_store.py STORE      prints shape, nonzeros, sum and maximum

It is slow, checks everything, and needs only numpy and scipy.
"""

import json
import struct
import sys
from pathlib import Path

import numpy as np
import scipy.sparse

WIDTHS = [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24]

CRC_TABLE = []
for byte in range(256):
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    CRC_TABLE.append(byte)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ CRC_TABLE[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


def ceil_div(number, by):
    return -(-number // by)


def align(number, to):
    return ceil_div(number, to) * to


def bits(data):
    return np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")


def read_manifest(folder):
    content = (folder / "manifest.json").read_bytes()
    at = content.rindex(b'"crc32c"')
    assert content[at:] == b'"crc32c": "%08x"}\n' % crc32c(content[:at]), "manifest is damaged"
    manifest = json.loads(content)
    assert manifest["format"] == "partwise store" and manifest["major"] == 1
    assert set(manifest["must_understand"]) <= {"packed rows"}
    return manifest


def write_manifest(folder, manifest):
    """Replaces the manifest of a store: for tests of what a reader makes of another one."""
    content = json.dumps(manifest, indent=2).removesuffix("\n}").encode() + b",\n"
    (folder / "manifest.json").write_bytes(content + b'"crc32c": "%08x"}\n' % crc32c(content))


def read_checked(path, stamp):
    content = path.read_bytes()
    assert (len(content), crc32c(content)) == (stamp["bytes"], stamp["crc32c"]), f"{path} is damaged"
    return content


def unpack_rows(data, count):
    """The rows of a run that has them packed, and the bytes that they take."""
    low = 4 if count <= 16 else 3 if count <= 32 else 2
    high_bits = count + 2 ** (8 - low) - 1
    size = ceil_div(high_bits + count * low, 8)
    run = bits(data[:size])
    highs = np.flatnonzero(run[:high_bits]) - np.arange(count)
    lows = run[high_bits : high_bits + count * low].reshape(count, low).astype(int) @ (1 << np.arange(low))
    assert not run[high_bits + count * low :].any()
    return (highs << low) + lows, size


def read_sparse_tile(tile, rows, genes, nonzeros):
    """Rows, genes and values of all nonzeros, in the order of the tile."""
    mode, row_code, tile_rows, runs, held, *lengths = struct.unpack_from("<BBHIQQQQQ", tile)
    assert row_code in (0, 1) and (tile_rows, held) == (rows, nonzeros)
    longest_list, shortest_map = ((32, 33), (8, 62))[row_code]
    lengths = [8 * ceil_div(genes, 64), runs, 0 if mode == 2 else ceil_div(runs, 2), *lengths, 64]
    ends = 48 + np.cumsum(lengths)
    assert ends[-1] == len(tile)
    sections = [tile[end - length : end] for end, length in zip(ends, lengths)]
    present, counts, widths, row_bytes, patches, dictionary, values, padding = sections
    assert not any(padding)
    present = np.flatnonzero(bits(present))
    assert len(present) == runs and (present < genes).all()
    counts = np.frombuffer(counts, np.uint8).astype(int) + 1
    assert counts.sum() == nonzeros
    code_bits = bits(values)
    distinct = np.frombuffer(dictionary, "<u2", rows if mode == 1 else 0).astype(int)
    first_distinct = np.concatenate([[0], np.cumsum(distinct)])
    distinct_values = np.frombuffer(dictionary, "<f4", offset=2 * len(distinct))
    out_rows, out_values = [], []
    row_at = patch_at = bit = taken = 0
    for run, count in enumerate(counts):
        if count <= longest_list:
            run_rows = np.frombuffer(row_bytes, np.uint8, count, row_at).astype(int)
            row_at += count
        elif count < shortest_map:
            run_rows, size = unpack_rows(row_bytes[row_at:], count)
            row_at += size
        else:
            run_rows = np.flatnonzero(bits(row_bytes[row_at : row_at + 32]))
            row_at += 32
        assert len(run_rows) == count and (np.diff(run_rows) > 0).all() and run_rows[-1] < rows
        out_rows.append(run_rows)
        if mode == 2:
            out_values.append(np.frombuffer(values, "<f4", count, 4 * taken))
            taken += count
            continue
        index = widths[run // 2] >> 4 * (run % 2) & 15
        places, highs = [], []
        if index == 15:
            head, outliers = patches[patch_at], patches[patch_at + 1] + 1
            index, size = head & 15, (head >> 4) + 1
            places = list(patches[patch_at + 2 : patch_at + 2 + outliers])
            parts = patches[patch_at + 2 + outliers : patch_at + 2 + outliers * (1 + size)]
            highs = [int.from_bytes(parts[i * size : (i + 1) * size], "little") for i in range(outliers)]
            patch_at += 2 + outliers * (1 + size)
        width = WIDTHS[index]
        code = code_bits[bit : bit + count * width].reshape(count, width).astype(int) @ (1 << np.arange(width))
        bit += count * width
        for place, high in zip(places, highs):
            code[place] += high << width
        if mode == 1:
            assert (code < distinct[run_rows]).all()
            out_values.append(distinct_values[first_distinct[run_rows] + code])
        else:
            out_values.append((code + 1).astype(np.float32))
    assert row_at == len(row_bytes) and patch_at == len(patches)
    assert mode == 2 or ceil_div(bit, 8) == len(values)
    if not runs:
        return np.empty(0, int), np.empty(0, int), np.empty(0, np.float32)
    return np.concatenate(out_rows), np.repeat(present, counts), np.concatenate(out_values)


def read_store(path):
    folder = Path(path)
    manifest = read_manifest(folder)
    cells, genes, tile_rows = manifest["cells"], manifest["genes"], manifest["tile_rows"]
    block_tiles = manifest["block_rows"] // tile_rows
    block_count, tile_count = ceil_div(cells, manifest["block_rows"]), ceil_div(cells, tile_rows)
    table = read_checked(folder / "table.bin", manifest["table"])
    assert len(table) == 64 + 32 * block_count + 24 * tile_count
    assert struct.unpack_from("<8sQQ", table) == (b"PWTABLE1", block_count, tile_count)
    shards = [(folder / f"blocks-{shard:05}.bin").read_bytes() for shard in range(len(manifest["shards"]))]
    assert [len(shard) for shard in shards] == manifest["shards"]
    rows, columns, values = [np.empty(0, int)], [np.empty(0, int)], [np.empty(0, np.float32)]
    for block in range(block_count):
        shard, _, offset, length, _ = struct.unpack_from("<IIQQQ", table, 64 + 32 * block)
        tiles = range(block * block_tiles, min((block + 1) * block_tiles, tile_count))
        at = align(64 + 24 * len(tiles), 64)
        for tile in tiles:
            size, nonzeros, crc = struct.unpack_from("<QQI", table, 64 + 32 * block_count + 24 * tile)
            data = shards[shard][offset + at : offset + at + size]
            assert crc32c(data) == crc, f"tile {tile} is damaged"
            first = tile * tile_rows
            height = min(tile_rows, cells - first)
            if manifest["layout"] == "dense":
                dense = np.frombuffer(data, "<f4").reshape(height, genes)
                tile_row, column = np.nonzero(dense)
                value = dense[tile_row, column]
            else:
                tile_row, column, value = read_sparse_tile(data, height, genes, nonzeros)
            assert len(value) == nonzeros
            rows.append(first + tile_row)
            columns.append(column)
            values.append(value)
            at = align(at + size, 64)
        assert align(at, 4096) == length
    rows, columns, values = np.concatenate(rows), np.concatenate(columns), np.concatenate(values)
    assert len(values) == manifest["nonzeros"]
    return scipy.sparse.csr_matrix((values, (rows, columns)), shape=(cells, genes))


def read_gene_moments(path):
    """Nonzeros, sums, sums of squares and maxima of all genes."""
    folder = Path(path)
    content = read_checked(folder / "genes.bin", read_manifest(folder)["gene_moments"])
    assert content[:8] == b"PWGENES1"
    dtype = [("nonzeros", "<u8"), ("sum", "<f8"), ("sum_sq", "<f8"), ("max", "<f4"), ("zero", "<u4")]
    return np.frombuffer(content, dtype, offset=64)


def read_per_million(path):
    """Sums and sums of squares of the values per million of all genes; None in stores of format 1.0."""
    folder = Path(path)
    stamp = read_manifest(folder).get("per_million")
    if stamp is None:
        return None
    content = read_checked(folder / "million.bin", stamp)
    assert content[:8] == b"PWMILLN1" and int.from_bytes(content[8:16], "little") == read_manifest(folder)["genes"]
    return np.frombuffer(content, [("sum", "<f8"), ("sum_sq", "<f8")], offset=64)


def read_cell_moments(path):
    """Sums, sums of squares and nonzeros of all cells."""
    folder = Path(path)
    cells = read_manifest(folder)["cells"]
    content = (folder / "cells.bin").read_bytes()
    assert len(content) == 64 + 20 * cells + 4 * ceil_div(cells, 4096)
    assert struct.unpack_from("<8sQQ", content) == (b"PWCELLS1", cells, 4096)
    dtype = [("sum", "<f8"), ("sum_sq", "<f8"), ("nonzeros", "<u4")]
    parts = [np.empty(0, dtype)]
    for first in range(0, cells, 4096):
        at, count = 64 + first * 20 + 4 * (first // 4096), min(4096, cells - first)
        records, crc = content[at : at + 20 * count], content[at + 20 * count : at + 20 * count + 4]
        assert crc32c(records) == int.from_bytes(crc, "little"), f"cells from {first} on are damaged"
        parts.append(np.frombuffer(records, dtype))
    return np.concatenate(parts)


def read_sample(path):
    """The rows of the sample: records of row, sum of squares, chance and nonzeros, and a CSR matrix of their values;
    None where there is none."""
    folder = Path(path)
    manifest = read_manifest(folder)
    stamp = manifest.get("sample")
    if stamp is None:
        return None
    content = (folder / "sample.bin").read_bytes()
    assert len(content) == stamp["bytes"]
    magic, count, tiles = struct.unpack_from("<8sQQ", content)
    at = 64 + 32 * count + 24 * tiles
    assert magic == b"PWSAMPL1" and crc32c(content[:at]) == stamp["crc32c"], "sample.bin is damaged"
    dtype = [("row", "<u8"), ("sum_sq", "<f8"), ("chance", "<f8"), ("nonzeros", "<u4"), ("zero", "<u4")]
    records = np.frombuffer(content, dtype, count, 64)
    assert (np.diff(records["row"].astype(int)) > 0).all() and (records["row"] < manifest["cells"]).all()
    first, rows, columns, values = 0, [np.empty(0, int)], [np.empty(0, int)], [np.empty(0, np.float32)]
    for tile in range(tiles):
        size, nonzeros, crc, height = struct.unpack_from("<QQII", content, 64 + 32 * count + 24 * tile)
        data = content[at : at + size]
        assert crc32c(data) == crc and 1 <= height <= 256
        tile_row, column, value = read_sparse_tile(data, height, manifest["genes"], nonzeros)
        rows.append(first + tile_row)
        columns.append(column)
        values.append(value)
        first, at = first + height, at + size
    assert first == count and at == len(content)
    rows, columns, values = np.concatenate(rows), np.concatenate(columns), np.concatenate(values)
    return records, scipy.sparse.csr_matrix((values, (rows, columns)), shape=(count, manifest["genes"]))


if __name__ == "__main__":
    matrix = read_store(sys.argv[1])
    genes, cells = read_gene_moments(sys.argv[1]), read_cell_moments(sys.argv[1])
    assert (np.diff(matrix.indptr) == cells["nonzeros"]).all()
    assert np.allclose(np.asarray(matrix.sum(axis=0, dtype=float)).ravel(), genes["sum"])
    million = read_per_million(sys.argv[1])
    if million is not None:
        assert np.isclose(million["sum"].sum(), 1e6 * np.count_nonzero(cells["sum"]))
    print(json.dumps({
        "cells": matrix.shape[0],
        "genes": matrix.shape[1],
        "nonzeros": int(matrix.nnz),
        "sum": float(matrix.sum(dtype=float)),
        "max": float(matrix.max()) if matrix.nnz else 0.0,
    }))
