import { createHash } from 'node:crypto'

/** The SHA-256 of a text, as receipts have it. */
export function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

export function isDigest(text: string): boolean {
  return /^[0-9a-f]{64}$/.test(text)
}
