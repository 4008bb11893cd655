import type { Diagnosis } from '../doctor/diagnosis.ts'
import { counted } from '../number-text.ts'
import type { Finding } from '../status/finding.ts'
import { findingText, placeText } from '../status/sentences.ts'
import { bold, red, type Part, type Style } from './style.ts'
import { listText, type Row } from './table.ts'

/** A diagnosis for people: the verdict first, then a line for each finding with what to do, then what could not be seen. */
export function doctorText({ status, findings, unseen }: Diagnosis, style: Style): string {
  const { database, version } = status
  const rows: readonly Row[] = [
    ...findings.map((finding): Row => [finding.level, lineOf(finding, style)]),
    ...unseen.map((each): Row => ['unseen', each]),
  ]
  return [
    bold(verdictOf(findings, database.reachable), style).text,
    ...(rows.length === 0 ? [] : [listText(rows, style)]),
    '',
    listText(
      [
        ['database', `${database.engine} ${placeText(database)}`],
        ['version', version],
      ],
      style,
    ),
    '',
  ].join('\n')
}

function lineOf(finding: Finding, style: Style): Part {
  const text = findingText(finding)
  return finding.level === 'fault' ? red(text, style) : text
}

function verdictOf(findings: readonly Finding[], reachable: boolean): string {
  if (!reachable) return 'The database cannot be reached'
  const faults = findings.filter(({ level }) => level === 'fault').length
  const advice = findings.length - faults
  const advised = advice === 0 ? '' : `, ${advice === 1 ? 'one piece of advice' : `${advice} pieces of advice`}`
  if (faults === 0) return advice === 0 ? 'All is as it should be' : `No fault was found${advised}`
  return `${counted(faults, 'fault')}${advised}`
}
