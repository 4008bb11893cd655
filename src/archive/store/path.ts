import { damaged } from '../damage.ts'

declare const form: unique symbol

/**
 * The path of an archive file below its folder: `audit_logs/2026/08/25/17-3.json`. Whatever names a file (a row of ours, a manifest, a
 * directory) becomes such a path here or is refused, and nothing else is ever read, created, moved or removed.
 */
export type ArchivePath = string & { readonly [form]: true }

export const ROWS_SUFFIX = '.ndjson.zst'
export const MANIFEST_SUFFIX = '.json'

/** A folder beside those of the tables, for files that are no longer part of a chain, each under the path that it had. */
export const RECONCILED = 'reconciled'

const NUMBER = '0|[1-9]\\d{0,14}'
/** A year before 1 is written as in ISO 8601, `-000043`. */
const YEAR = '\\d{4}|-\\d{6}'
export const NAME = new RegExp(`^(?<run>${NUMBER})-(?<position>${NUMBER})(?<suffix>\\.ndjson\\.zst|\\.json)$`)
const FORM = new RegExp(
  `^(?:${RECONCILED}/)?(?<table>[a-z][a-z0-9_]*)/(?<day>(?:${YEAR})/\\d{2}/\\d{2})/(?:${NUMBER})-(?<position>${NUMBER})(?:\\.ndjson\\.zst|\\.json)$`,
)
/** The folders of a table's files, from the outside in. */
export const DATE_FOLDERS: readonly RegExp[] = [new RegExp(`^(?:${YEAR})$`), /^\d{2}$/, /^\d{2}$/]

/** The position is never allocated twice, and gives the file its place in the chain. */
export function pathOf(table: string, day: string, run: number, position: number, suffix: string): ArchivePath {
  return archivePath(`${table}/${slashed(day)}/${run}-${position}${suffix}`, table, 'the worker itself')
}

/** `undefined`: it is not a path of this table. */
export function parsePath(text: unknown, table: string): ArchivePath | undefined {
  if (typeof text !== 'string') return undefined
  const { table: named, day } = FORM.exec(text)?.groups ?? {}
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it matches the form
  return named === table && day !== undefined && isDay(dashed(day)) ? (text as ArchivePath) : undefined
}

/** Throws if it is not a path of this table. `where`: what names it. */
export function archivePath(text: unknown, table: string, where: string): ArchivePath {
  const path = parsePath(text, table)
  if (path === undefined)
    throw damaged(`${where} names ${shown(text)}, which is not the place of a file of ${table} in this archive; it was left alone`)
  return path
}

/** The day of a file's rows, or the day on which a removal was written: `2026-08-25`. */
export function dayOf(path: ArchivePath): string {
  return dashed(FORM.exec(path)!.groups!['day']!)
}

export function positionOf(path: ArchivePath): number {
  return Number(FORM.exec(path)!.groups!['position'])
}

export function tableOf(path: ArchivePath): string {
  return FORM.exec(path)!.groups!['table']!
}

export function holdsRows(path: ArchivePath): boolean {
  return path.endsWith(ROWS_SUFFIX)
}

/** The manifest beside a file of rows. */
export function manifestOf(rows: ArchivePath): ArchivePath {
  return beside(rows, ROWS_SUFFIX, MANIFEST_SUFFIX)
}

/** The file of rows beside a manifest, if the manifest describes one. */
export function rowsOf(manifest: ArchivePath): ArchivePath {
  return beside(manifest, MANIFEST_SUFFIX, ROWS_SUFFIX)
}

function beside(path: ArchivePath, suffix: string, other: string): ArchivePath {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- one suffix of the form for another
  return (path.endsWith(suffix) ? `${path.slice(0, -suffix.length)}${other}` : path) as ArchivePath
}

/** `-000043-03-15` is `-000043/03/15`. */
function slashed(day: string): string {
  return day.replace(/-(\d{2})-(\d{2})$/, '/$1/$2')
}

function dashed(day: string): string {
  return day.replaceAll('/', '-')
}

function isDay(day: string): boolean {
  const date = new Date(`${day}T00:00:00.000Z`)
  return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(day)
}

const MOST_SHOWN = 120

/** Plain ASCII: no control characters for a terminal, and no look-alikes. */
function shown(text: unknown): string {
  const json = JSON.stringify(text) ?? 'nothing'
  const plain = json.slice(0, MOST_SHOWN).replaceAll(/[^\x20-\x7e]/g, (mark) => `\\u${mark.charCodeAt(0).toString(16).padStart(4, '0')}`)
  return json.length > MOST_SHOWN ? `${plain}…` : plain
}
