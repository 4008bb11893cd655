/** A value of more bytes than this is written in pieces, so that one large `output` does not take its size several times over. */
export const LONG_BYTES = 2 ** 20
const PIECE = 2 ** 16
/** One byte becomes `\u001f` at the worst. */
export const MOST_ESCAPED = 6

/** What UTF-8 becomes between the quotation marks of JSON. A character may not be cut by the end of `bytes`. */
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
