/** A value longer than this is written in pieces, so that one large `output` does not take its size several times over. */
export const LONG = 2 ** 20
const PIECE = 2 ** 16

/** The JSON of a text, piece by piece. */
export function* jsonPieces(text: string): Generator<string> {
  yield '"'
  for (let from = 0; from < text.length;) {
    let to = Math.min(from + PIECE, text.length)
    // A character of two halves stays whole.
    if (to < text.length && isHighSurrogate(text.charCodeAt(to - 1))) to -= 1
    yield JSON.stringify(text.slice(from, to)).slice(1, -1)
    from = to
  }
  yield '"'
}

/** The same of text that is UTF-8 still. */
export function* jsonPiecesOfUtf8(bytes: Buffer): Generator<string> {
  yield '"'
  for (let from = 0; from < bytes.length;) {
    let to = Math.min(from + PIECE, bytes.length)
    while (to < bytes.length && isContinuation(bytes[to]!)) to -= 1
    yield JSON.stringify(bytes.toString('utf8', from, to)).slice(1, -1)
    from = to
  }
  yield '"'
}

/** Bytes in hexadecimal, in quotation marks. */
export function* hexPieces(bytes: Uint8Array): Generator<string> {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  yield '"'
  for (let from = 0; from < buffer.length; from += PIECE) yield buffer.toString('hex', from, Math.min(from + PIECE, buffer.length))
  yield '"'
}

function isHighSurrogate(code: number): boolean {
  return code >= 0xd800 && code < 0xdc00
}

function isContinuation(byte: number): boolean {
  return (byte & 0xc0) === 0x80
}
