import { withoutCredentials } from '../secrets/foreign-text.ts'

const MOST_SHOWN = 60

/** A value in a problem. It may have been meant for another setting, such as the database URL. */
export function shown(value: unknown): string {
  if (value === null) return 'an empty value'
  if (typeof value === 'object') return Array.isArray(value) ? 'a list' : 'a section'
  const text = JSON.stringify(typeof value === 'string' ? withoutCredentials(value) : value) ?? 'nothing'
  return text.length > MOST_SHOWN ? `${text.slice(0, MOST_SHOWN)}…` : text
}
