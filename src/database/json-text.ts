/** A value of more bytes than this is written in pieces, so that one large `output` does not take its size several times over. */
export const LONG_BYTES = 2 ** 20
const PIECE = 2 ** 16

/** What UTF-8 becomes between the quotation marks of JSON. A character may not be cut by the end of `bytes`. */
export function* escapedPieces(bytes: Buffer): Generator<Buffer> {
  for (let from = 0; from < bytes.length;) {
    let to = Math.min(from + PIECE, bytes.length)
    while (to < bytes.length && isContinuation(bytes[to]!)) to -= 1
    yield Buffer.from(JSON.stringify(bytes.toString('utf8', from, to)).slice(1, -1))
    from = to
  }
}

/** Where the last whole character of a piece of UTF-8 ends. */
export function wholeCharacters(bytes: Buffer): number {
  let start = bytes.length - 1
  while (start > 0 && start > bytes.length - 4 && isContinuation(bytes[start]!)) start -= 1
  const lead = bytes[start] ?? 0
  const wanted = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1
  return start + wanted > bytes.length ? start : bytes.length
}

function isContinuation(byte: number): boolean {
  return (byte & 0xc0) === 0x80
}
