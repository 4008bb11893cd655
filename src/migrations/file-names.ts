/** The parts of a migration file's name. */
export interface FileName {
  readonly fileName: string
  readonly version: number
  /** `initial_schema` of `001_initial_schema_sqlite.sql`. */
  readonly name: string
  /** `001_initial_schema`: the beginning of the names of both files of a migration. */
  readonly stem: string
  /** `_sqlite`: the suffix of the files for SQLite; those for PostgreSQL have none. */
  readonly suffix: string
}

export const SQLITE = '_sqlite'
const FILE_NAME = /^(?<stem>(?<number>\d{3,})_(?!sqlite\.)(?<name>[a-z0-9][a-z0-9_]*?))(?<suffix>_sqlite)?\.sql$/

export function parseFileName(fileName: string): FileName | undefined {
  const { number, name, stem, suffix = '' } = FILE_NAME.exec(fileName)?.groups ?? {}
  if (name === undefined || stem === undefined) return undefined
  return { fileName, version: Number(number), name, stem, suffix }
}

/** Checks that numbers run from 1 without gaps or duplicates and that each has its two files. One line per problem. */
export function seriesProblems(files: readonly FileName[], folder: string): readonly string[] {
  if (files.length === 0) return [`${folder} holds no migration`]
  const versions = Map.groupBy(files, ({ version }) => version)
  let previous = 0
  return [...versions]
    .toSorted(([a], [b]) => a - b)
    .flatMap(([version, here]) => {
      if (version === 0) return here.map(({ fileName }) => `${folder}/${fileName}: numbers begin at 001`)
      const gap = version > previous + 1 ? [`${folder} has no migration ${padded(previous + 1)}: numbers run without a gap`] : []
      previous = version
      return [...gap, ...twinProblems(here, folder)]
    })
}

function twinProblems(files: readonly FileName[], folder: string): string[] {
  const listed = files.map(({ fileName }) => fileName).join(', ')
  if (new Set(files.map(({ stem }) => stem)).size > 1) {
    return [`${folder} has more than one migration ${padded(files[0]?.version ?? 0)}: ${listed}; the newer one takes the next free number`]
  }
  const [only, twin] = files
  if (only === undefined || twin !== undefined) return []
  const missing = `${only.stem}${only.suffix === SQLITE ? '' : SQLITE}.sql`
  return [`${folder}/${only.fileName} has no twin for the other engine: ${missing} is missing`]
}

/** The beginning of the names of both files of a migration: `001_initial_schema`. */
export function stemOf({ version, name }: Pick<FileName, 'version' | 'name'>): string {
  return `${padded(version)}_${name}`
}

/** The form of numbers in file names: `001`. */
export function padded(version: number): string {
  return String(version).padStart(3, '0')
}
