import { createHash, createPrivateKey, createPublicKey, sign, verify, type KeyObject } from 'node:crypto'

/** The type that a signature covers along with the text; see DSSE, the envelope of the in-toto project. */
export const PAYLOAD_TYPE = 'application/vnd.mcp-gateway-maintenance.receipt+json'

export interface Signature {
  /** See `keyIdOf`. */
  readonly keyId: string
  /** Base64. */
  readonly value: string
}

export interface Signer {
  readonly keyId: string
  sign(text: string): Signature
}

export interface Verifier {
  readonly keyId: string
  isValid(text: string, signature: Signature): boolean
}

/** `undefined`: it is no private ed25519 key in PEM without a passphrase. */
export function signerOf(pem: Uint8Array): Signer | undefined {
  const key = keyIn(() => createPrivateKey(Buffer.from(pem)))
  if (key === undefined) return undefined
  const keyId = keyIdOf(createPublicKey(key))
  return { keyId, sign: (text) => ({ keyId, value: sign(null, signedBytes(text), key).toString('base64') }) }
}

/** `undefined`: it is no public ed25519 key in PEM. */
export function verifierOf(pem: Uint8Array): Verifier | undefined {
  // Node would take the public half of a private key, which nobody should hand to an auditor.
  if (Buffer.from(pem).includes('PRIVATE KEY')) return undefined
  const key = keyIn(() => createPublicKey(Buffer.from(pem)))
  if (key === undefined) return undefined
  return {
    keyId: keyIdOf(key),
    isValid: (text, { value }) => verify(null, signedBytes(text), key, Buffer.from(value, 'base64')),
  }
}

function keyIn(read: () => KeyObject): KeyObject | undefined {
  try {
    const key = read()
    return key.asymmetricKeyType === 'ed25519' ? key : undefined
  } catch {
    return undefined
  }
}

/** The first 16 hexadecimal digits of the SHA-256 of the public key's DER. It only names a key: what counts is the key that is handed in. */
function keyIdOf(publicKey: KeyObject): string {
  return createHash('sha256')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest('hex')
    .slice(0, 16)
}

/** DSSE's pre-authentication encoding, version 1. Lengths are in bytes. */
export function signedBytes(text: string): Buffer {
  return Buffer.from(`DSSEv1 ${PAYLOAD_TYPE.length} ${PAYLOAD_TYPE} ${Buffer.byteLength(text)} ${text}`)
}
