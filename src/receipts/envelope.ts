import { isObject, MOST_RECEIPT_BYTES } from './receipt.ts'
import { PAYLOAD_TYPE, type Signature } from './signing.ts'

/** A receipt and who signed it. */
export interface SignedText {
  readonly text: string
  /** `undefined`: nobody. */
  readonly signature: Signature | undefined
}

/** No envelope of ours is longer, in characters: base64 takes four for three bytes. */
export const MOST_ENVELOPE = Math.ceil((MOST_RECEIPT_BYTES * 4) / 3) + 1_000

/** A DSSE envelope on one line. */
export function envelopeLine({ text, signature }: SignedText): string {
  return JSON.stringify({
    payloadType: PAYLOAD_TYPE,
    payload: Buffer.from(text).toString('base64'),
    signatures: signature === undefined ? [] : [{ keyid: signature.keyId, sig: signature.value }],
  })
}

/** `undefined`: no envelope of a receipt, or one with several signatures. */
export function parseEnvelope(line: string): SignedText | undefined {
  if (line.length > MOST_ENVELOPE) return undefined
  let envelope: unknown
  try {
    envelope = JSON.parse(line)
  } catch {
    return undefined
  }
  if (!isObject(envelope)) return undefined
  const { payloadType, payload, signatures } = envelope
  if (payloadType !== PAYLOAD_TYPE || typeof payload !== 'string' || !Array.isArray(signatures) || signatures.length > 1) return undefined
  const bytes = Buffer.from(payload, 'base64')
  // Decoding is lenient: other texts would decode to the same bytes.
  if (bytes.toString('base64') !== payload) return undefined
  const [given]: readonly unknown[] = signatures
  if (given === undefined) return { text: bytes.toString(), signature: undefined }
  if (!isObject(given) || typeof given['keyid'] !== 'string' || typeof given['sig'] !== 'string') return undefined
  return { text: bytes.toString(), signature: { keyId: given['keyid'], value: given['sig'] } }
}
