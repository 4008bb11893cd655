import type { ExitCode } from '../errors.ts'
import { jsonDocument, visible } from '../observe/control-characters.ts'
import type { Start } from '../program.ts'

/** `config`: every setting with its value, secrets masked, and where it came from. Needs no database. */
export function showConfig({ host, settings: { entries, warnings } }: Start, json: boolean): ExitCode {
  for (const warning of warnings) host.printError(`${visible(warning)}\n`)
  if (json) {
    host.print(jsonDocument(Object.fromEntries(entries.map(({ key, value, source }) => [key, { value, source }]))))
    return 0
  }
  const values = entries.map(({ value }) => (value === null ? '-' : visible(Array.isArray(value) ? value.join(', ') : String(value))))
  const keyWidth = width(entries.map(({ key }) => key))
  const valueWidth = width(values)
  for (const [at, { key, source }] of entries.entries())
    host.print(`${key.padEnd(keyWidth)}  ${values[at]!.padEnd(valueWidth)}  ${visible(source)}\n`)
  return 0
}

function width(texts: readonly string[]): number {
  return Math.max(...texts.map((text) => text.length))
}
