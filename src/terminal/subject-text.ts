import { counted, countText, plural, someText } from '../number-text.ts'
import { visible } from '../observe/control-characters.ts'
import { retentionText } from '../policy/rules.ts'
import { NOT_REACHED, type SubjectAnswer, type SubjectArchive } from '../subject/subject-answer.ts'
import type { Span, SubjectTable } from '../subject/subject-tables.ts'
import { minuteText } from '../time/time-text.ts'
import { bold, red, type Style } from './style.ts'
import { listText, tableText, type Column, type Row } from './table.ts'

/** The answer of `subject find` for people. */
export function subjectText({ user, at, tables, archive, otherTables, problems }: SubjectAnswer, style: Style): string {
  const found = tables.filter(({ rows }) => rows > 0)
  const archived = (archive?.files ?? []).reduce((sum, { rows }) => sum + rows, 0)
  const total = found.reduce((sum, { rows }) => sum + rows, 0)
  const name = visible(JSON.stringify(user))
  const head =
    total + archived === 0
      ? `${name}: nothing was found`
      : `${name}: ${counted(total, 'row')} in ${counted(found.length, 'table')}, ${counted(archived, 'row')} in the archive`
  const parts = [
    `${bold(head, style).text}, ${minuteText(at)} UTC. Compared letter by letter.\n`,
    ...found.map((table) => tablePart(table, style)),
    ...(archive === undefined || archive.files.length === 0 ? [] : [archivePart(archive, style)]),
    `${listText([...searchedRows(tables, archive), ...reachRows(otherTables)], style)}\n`,
    ...(problems.length === 0
      ? []
      : [
          `${listText(
            problems.map((problem): Row => ['not done', red(problem, style)]),
            style,
          )}\n`,
        ]),
  ]
  return parts.join('\n')
}

function tablePart(table: SubjectTable, style: Style): string {
  const { rows, columns, times, going, keptUntil, stays, holds, rules, undated, unreadable, job } = table
  const list: readonly Row[] = [
    ['rows', `${countText(rows)}${times === undefined ? '' : `, ${spanText(times)}`}, by ${columns.join(' or ')}`],
    ...(keptUntil === undefined || job === undefined
      ? []
      : [
          [
            'go',
            `${countText(going)} by ${plural(going, 'itself', 'themselves')}, with the first run of ${job.name} after ${spanText(keptUntil)}`,
          ] as const,
        ]),
    ...holds.map(({ name, rows: held }): Row => ['hold', `${name} keeps ${countText(held)}, until it is released`]),
    ...rules.map(({ name, rows: kept, retentionMs }): Row => ['rule', `${name} (${retentionText(retentionMs)}) means ${countText(kept)}`]),
    ...(stays === undefined ? [] : [['stay', job === undefined ? stays : `no run deletes them, because ${stays}`] as const]),
    ...(undated === 0 || stays !== undefined ? [] : [['stay', `${countText(undated)} without a time: they never expire`] as const]),
    ...(unreadable === 0
      ? []
      : [['stay', `${countText(unreadable)} with a time that cannot be read, or without end: they never expire`] as const]),
  ]
  return `${bold(table.table, style).text}\n${listText(list, style)}\n`
}

const COLUMNS: readonly Column[] = [
  { title: 'file' },
  { title: 'rows', align: 'right' },
  { title: 'first (UTC)', dispensable: 2 },
  { title: 'last (UTC)', dispensable: 3 },
  { title: 'goes from (UTC)' },
  { title: 'holds', dispensable: 1 },
]

function archivePart({ files, directory, expires }: SubjectArchive, style: Style): string {
  const rows = files.map(({ path, rows: own, times, expiresAt, heldBy }) => [
    path,
    countText(own),
    times === undefined ? '' : minuteText(times.first),
    times === undefined ? '' : minuteText(times.last),
    heldBy.length > 0 ? 'held' : expiresAt === undefined ? 'never' : minuteText(expiresAt),
    heldBy.map(({ hold }) => visible(hold.name)).join(', '),
  ])
  const note = expires ? '' : 'No run removes files: the archive or its job is switched off.\n'
  return `${bold(`archive in ${visible(directory)}`, style).text}\n${tableText(COLUMNS, rows, style)}\n${note}`
}

function searchedRows(tables: readonly SubjectTable[], archive: SubjectArchive | undefined): readonly Row[] {
  const names = (state: SubjectTable['state']): string =>
    tables.flatMap((each) => (each.state === state && each.rows === 0 ? [each.table] : [])).join(', ')
  const rows: readonly Row[] = [
    ['nothing in', names('searched')],
    ['no names in', names('nameless')],
    ['not there', names('absent')],
    [
      'archive',
      archive === undefined
        ? 'nothing was ever archived'
        : `${counted(archive.filesRead, 'file')} ${plural(archive.filesRead, 'was', 'were')} read`,
    ],
  ]
  return rows.filter(([, text]) => text !== '')
}

function reachRows(otherTables: readonly string[]): readonly Row[] {
  return [
    ...(otherTables.length === 0 ? [] : [['not reached', `tables of which nothing is known: ${someText(otherTables)}`] as const]),
    ...NOT_REACHED.map((clause): Row => ['not reached', clause]),
  ]
}

function spanText({ first, last }: Span): string {
  return first === last ? `${minuteText(first)} UTC` : `${minuteText(first)} to ${minuteText(last)} UTC`
}
