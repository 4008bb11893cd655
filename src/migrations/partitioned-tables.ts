import type { PartitionedTable, Relation } from '../database/migrating.ts'
import { MaintenanceError } from '../errors.ts'
import type { MigrationFile } from './migration-files.ts'
import { placeOf } from './sql/script.ts'
import type { Statement } from './sql/statements.ts'
import { keyword, nameOf, type Token } from './sql/tokens.ts'

/**
 * Call before the first statement. Refuses files with statements that cannot work on a table that is partitioned here. What a block of code does is not seen:
 * where that fails, its file is rolled back.
 */
export function refuseForPartitioned(existing: ReadonlyMap<string, Relation>, pending: readonly MigrationFile[]): void {
  const tables = new Map(
    [...existing].flatMap(([name, { partitioned }]) => (partitioned === undefined ? [] : [[name, partitioned] as const])),
  )
  if (tables.size === 0) return
  const problems = pending.flatMap(({ path, text, script }) =>
    script.statements.flatMap((statement) => {
      const problem = partitionedProblem(statement, tables)
      if (problem === undefined) return []
      const { line, column } = placeOf(text, statement.start)
      return [`${path}:${line}:${column} ${problem}`]
    }),
  )
  if (problems.length > 0)
    throw new MaintenanceError('MIGRATION_REFUSED', [
      ...problems,
      'Nothing was changed. Write the file so that it works on both, as migrations/README.md says; or turn the table back first. Run: mcp-gateway-maintenance partition undo',
    ])
}

type Tables = ReadonlyMap<string, PartitionedTable>

/** Why a statement cannot work; `undefined`: nothing is known against it. */
export function partitionedProblem({ tokens }: Statement, tables: Tables): string | undefined {
  const referred = tokens.find((token, at) => keyword(tokens[at - 1]) === 'REFERENCES' && isName(token) && tables.has(nameOf(token)))
  if (referred !== undefined)
    return `a foreign key cannot refer to ${nameOf(referred)}, which is partitioned here and has no key on id alone`
  const [first, second] = [keyword(tokens[0]), keyword(tokens[1])]
  if (first === 'CREATE' && (second === 'INDEX' || second === 'UNIQUE')) return indexProblem(tokens, tables)
  if (first === 'DROP' && second === 'INDEX') return dropProblem(tokens, tables)
  if (first === 'ALTER' && second === 'TABLE') return alterationProblem(tokens, tables)
  return undefined
}

function indexProblem(tokens: readonly Token[], tables: Tables): string | undefined {
  const on = tokens.findIndex((token) => keyword(token) === 'ON')
  const at = keyword(tokens[on + 1]) === 'ONLY' ? on + 2 : on + 1
  const found = tokenTable(tokens[at], tables)
  if (on < 0 || found === undefined) return undefined
  const { name, partitioned } = found
  if (tokens.slice(0, on).some((token) => keyword(token) === 'CONCURRENTLY'))
    return `CREATE INDEX CONCURRENTLY does not work on ${name}, which is partitioned here: it takes CREATE INDEX ON ONLY, an index on each partition, and ALTER INDEX … ATTACH PARTITION`
  const index = tokens[on - 1]
  const isThere = index !== undefined && isName(index) && partitioned.indexes.includes(nameOf(index))
  if (keyword(tokens[1]) !== 'UNIQUE' || isThere) return undefined
  return keyProblem('a unique index', name, columnsBehind(tokens, at), partitioned)
}

function dropProblem(tokens: readonly Token[], tables: Tables): string | undefined {
  if (keyword(tokens[2]) !== 'CONCURRENTLY') return undefined
  for (const [name, { indexes }] of tables) {
    const index = tokens.find((token) => isName(token) && indexes.includes(nameOf(token)))
    if (index !== undefined)
      return `DROP INDEX CONCURRENTLY does not work on ${nameOf(index)}, an index of ${name}, which is partitioned here`
  }
  return undefined
}

function alterationProblem(tokens: readonly Token[], tables: Tables): string | undefined {
  const at = tokens.findIndex((token, index) => index > 1 && !NOISE.has(keyword(token)))
  const found = tokenTable(tokens[at], tables)
  if (found === undefined) return undefined
  const { name, partitioned } = found
  const rest = tokens.slice(at + 1)
  const spoken = rest.map(keyword)
  const isKey = (token: Token | undefined): boolean => token !== undefined && isName(token) && partitioned.columns.includes(nameOf(token))
  if (spoken[0] === 'RENAME' && spoken[1] === 'TO')
    return `${name} is partitioned here, and its partitions are known by its name: it cannot be renamed`
  if (spoken[0] === 'RENAME' && isKey(rest[spoken[1] === 'COLUMN' ? 2 : 1]))
    return `${name} is partitioned here by the column that this renames`
  for (const [index, word] of spoken.entries()) {
    if (word === 'EXCLUDE') return `an exclusion constraint would hold within each partition of ${name} alone, which is partitioned here`
    if (word === 'IDENTITY' && spoken[index - 1] === 'AS')
      return `${name} is partitioned here, and its partitions cannot get another identity column`
    if (word === 'FOREIGN' && spoken[index + 1] === 'KEY') return foreignKeyProblem(name)
    if (word === 'REFERENCES') return foreignKeyProblem(name)
    const isPrimary = word === 'PRIMARY' && spoken[index + 1] === 'KEY'
    if (isPrimary || word === 'UNIQUE') {
      const columns = columnsBehind(rest, isPrimary ? index + 1 : index)
      return keyProblem(isPrimary ? 'a primary key' : 'a unique constraint', name, columns, partitioned)
    }
    if (
      (word === 'TYPE' || word === 'DATA') &&
      spoken.slice(Math.max(0, index - 4), index).includes('ALTER') &&
      rest.slice(Math.max(0, index - 3), index).some(isKey)
    )
      return `${name} is partitioned here by the column whose type this changes`
    if (
      word === 'DROP' &&
      (isKey(rest[index + 1]) || (spoken[index + 1] === 'COLUMN' && isKey(rest[index + (spoken[index + 2] === 'IF' ? 4 : 2)])))
    )
      return `${name} is partitioned here by the column that this drops`
  }
  return undefined
}

const NOISE: ReadonlySet<string> = new Set(['IF', 'EXISTS', 'ONLY'])

function foreignKeyProblem(name: string): string {
  return `${name} is partitioned here, and with a foreign key of it writers of the other table would wait each time a partition is made or taken out`
}

/** `columns`: `undefined`: the statement names none, such as that of a single column or USING INDEX. */
function keyProblem(
  what: string,
  name: string,
  columns: readonly string[] | undefined,
  { columns: keys }: PartitionedTable,
): string | undefined {
  if (columns !== undefined && keys.every((key) => columns.includes(key))) return undefined
  return `${what} of ${name}, which is partitioned here, must have the column ${keys.join(', ')} too`
}

/** The bare columns of the parentheses behind this token, which may be preceded by USING and a method. */
function columnsBehind(tokens: readonly Token[], at: number): readonly string[] | undefined {
  const open = keyword(tokens[at + 1]) === 'USING' && tokens[at + 3]?.text === '(' ? at + 3 : at + 1
  if (tokens[open]?.text !== '(') return undefined
  const close = tokens.findIndex((token, index) => index > open && token.text === ')')
  return tokens
    .slice(open + 1, close)
    .filter(isName)
    .map(nameOf)
}

function tokenTable(
  token: Token | undefined,
  tables: Tables,
): { readonly name: string; readonly partitioned: PartitionedTable } | undefined {
  if (token === undefined || !isName(token)) return undefined
  const partitioned = tables.get(nameOf(token))
  return partitioned === undefined ? undefined : { name: nameOf(token), partitioned }
}

function isName({ kind }: Token): boolean {
  return kind === 'word' || kind === 'quoted'
}
