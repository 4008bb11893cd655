import { createHash } from 'node:crypto'

/** The partitioned table, until it takes the name of the one that it replaces. */
export function preparedName(table: string): string {
  return shifted(table, 'new')
}

/** The table as it was, once it is a partition. */
export function firstName(table: string): string {
  return shifted(table, 'legacy')
}

/** The unique index that the first partition needs. */
export function keyName(table: string): string {
  return shifted(table, 'legacy_key')
}

/** The constraint that proves where the rows of the first partition end. */
export function boundName(table: string): string {
  return shifted(table, 'legacy_bound')
}

/** PostgreSQL cuts longer ones off, silently. */
const MOST_BYTES = 63

/** The same for the same name, and another one for another name. */
export function shifted(name: string, suffix: string): string {
  const whole = `${name}_${suffix}`
  if (Buffer.byteLength(whole) <= MOST_BYTES) return whole
  const end = `_${createHash('sha256').update(name).digest('hex').slice(0, 8)}_${suffix}`
  let cut = name
  while (Buffer.byteLength(cut + end) > MOST_BYTES) cut = cut.replace(/.$/su, '')
  return cut + end
}
