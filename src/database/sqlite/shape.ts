import type { StoredTime } from './times.ts'

const LONGEST = 30

/** What an unreadable time looks like, without its content: digits as 9, letters as a. */
export function shapeOf(value: StoredTime): string {
  if (value instanceof Uint8Array) return 'a BLOB'
  if (value === '') return 'empty text'
  const text = String(value)
  const shape = text.slice(0, LONGEST).replace(/\p{L}/gu, 'a').replace(/\p{N}/gu, '9')
  return text.length > LONGEST ? `${shape}…` : shape
}
