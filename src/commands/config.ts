import type { ExitCode } from '../errors.ts'
import { jsonDocument, visible } from '../observe/control-characters.ts'
import { aligned, columnsOf, widthOf } from '../observe/width.ts'
import type { Start } from '../program.ts'

/** `config`: every setting with its value, secrets masked, and where it came from. Needs no database. */
export function showConfig({ host, settings: { entries, warnings } }: Start, json: boolean): ExitCode {
  for (const warning of warnings) host.printError(`${visible(warning)}\n`)
  if (json) {
    host.write(jsonDocument(Object.fromEntries(entries.map(({ key, value, source }) => [key, { value, source }]))))
    return 0
  }
  const values = entries.map(({ value }) => (value === null ? '-' : visible(Array.isArray(value) ? value.join(', ') : String(value))))
  const rows = entries.map(({ key, source }, at) => [key, values[at]!, visible(source)] as const)
  const widths = [0, 1, 2].map((column) => Math.max(...rows.map((row) => widthOf(row[column]!))))
  const fits = widths.reduce((sum, width) => sum + width + GAP.length, -GAP.length) <= columnsOf(host.terminal, 'output')
  for (const [key, value, source] of rows)
    host.print(
      fits
        ? `${aligned(key, widths[0]!)}${GAP}${aligned(value, widths[1]!)}${GAP}${source}\n`
        : `${key}\n${GAP}${GAP}${value}${GAP}${source}\n`,
    )
  return 0
}

const GAP = '  '
