import type { SettingEntry } from '../config/load.ts'
import type { ExitCode } from '../errors.ts'
import { jsonDocument, visible } from '../observe/control-characters.ts'
import { aligned, columnsOf, widthOf } from '../observe/width.ts'
import { matchOf, matchText } from '../policy/match.ts'
import type { Start } from '../program.ts'

/** `config`: every setting with its value, secrets masked, and where it came from. Needs no database. */
export function showConfig({ host, settings: { entries, warnings } }: Start, json: boolean): ExitCode {
  for (const warning of warnings) host.printError(`${visible(warning)}\n`)
  if (json) {
    host.write(jsonDocument(Object.fromEntries(entries.map(({ key, value, source }) => [key, { value, source }]))))
    return 0
  }
  const rows = entries.flatMap(({ key, value, source }) =>
    linesOf(value).map(([part, text]) => [`${key}${part}`, visible(text), visible(source)] as const),
  )
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

/** A line for each rule; of any other value one. */
function linesOf(value: SettingEntry['value']): readonly (readonly [part: string, text: string])[] {
  if (value === null) return [['', '-']]
  if (typeof value !== 'object') return [['', String(value)]]
  const texts = value.map((each) =>
    typeof each === 'string' ? each : `${each.name}: ${each.retention} where ${matchText(matchOf(each.match))}`,
  )
  return value.some((each) => typeof each !== 'string') ? texts.map((text, at) => [`[${at}]`, text]) : [['', texts.join(', ')]]
}
