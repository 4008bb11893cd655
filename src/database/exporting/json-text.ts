/** Longer values, in bytes, are written in pieces, so that one large `output` does not take several times its size in memory. */
export const LONG_BYTES = 2 ** 20
const PIECE = 2 ** 16
/** At worst, one byte becomes `\u001f`. */
export const MOST_ESCAPED = 6

/** Escapes UTF-8 for a JSON string, without the quotation marks. `bytes` must not end within a character. */
export function* escapedPieces(bytes: Buffer): Generator<Buffer> {
  for (let from = 0; from < bytes.length;) {
    let to = Math.min(from + PIECE, bytes.length)
    while (to < bytes.length && isContinuation(bytes[to]!)) to -= 1
    yield Buffer.from(JSON.stringify(bytes.toString('utf8', from, to)).slice(1, -1))
    from = to
  }
}

function isContinuation(byte: number): boolean {
  return (byte & 0xc0) === 0x80
}
