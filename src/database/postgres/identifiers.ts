import { escapeIdentifier } from 'pg'

export function qualified(schema: string, name: string): string {
  return `${escapeIdentifier(schema)}.${escapeIdentifier(name)}`
}

export { escapeIdentifier as quoted, escapeLiteral as literal } from 'pg'
