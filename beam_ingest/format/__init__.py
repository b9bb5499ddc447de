"""The formats that PyChunkedGraph reads: ids, table cells, the meta row, first tablets."""
