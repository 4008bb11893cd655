import type { Query } from '../../query.ts'
import { literal, qualified, quoted } from '../identifiers.ts'
import type { Dependents, Grant, IndexFacts, SequenceFacts, TriggerFacts } from './dependents.ts'
import { readGrants } from './dependents.ts'

/** The statements here give one table what another one has. They are to be executed under the empty search path of `readDependents`. */

/** What is missing, and what somebody's default privileges have given too much. `relation`: `TABLE "public"."audit_logs"`. */
export function grantsSql(relation: string, wanted: readonly Grant[], had: readonly Grant[]): readonly string[] {
  const [want, have] = [new Set(wanted.map(keyOf)), new Set(had.map(keyOf))]
  return [
    ...had
      .filter((grant) => !want.has(keyOf(grant)))
      .map((grant) => `REVOKE ${rightOf(grant)} ON ${relation} FROM ${roleOf(grant)} CASCADE`),
    ...wanted
      .filter((grant) => !have.has(keyOf(grant)))
      .map((grant) => `GRANT ${rightOf(grant)} ON ${relation} TO ${roleOf(grant)}${grant.mayGrant ? ' WITH GRANT OPTION' : ''}`),
  ]
}

function keyOf({ column, grantee, privilege, mayGrant }: Grant): string {
  return JSON.stringify([column, grantee, privilege, mayGrant])
}

function rightOf({ privilege, column }: Grant): string {
  return column === null ? privilege : `${privilege} (${quoted(column)})`
}

function roleOf({ grantee }: Grant): string {
  return grantee === null ? 'PUBLIC' : quoted(grantee)
}

/** Makes an index like this one, and of its name if no other is given. */
export function indexSql(
  { definition, isUnique, tablespace, comment }: IndexFacts,
  schema: string,
  name: string,
  table: string,
): readonly string[] {
  const index = qualified(schema, name)
  return [
    `CREATE ${isUnique ? 'UNIQUE ' : ''}INDEX ${quoted(name)} ON ${table} ${definition}`,
    ...(tablespace === null ? [] : [`ALTER INDEX ${index} SET TABLESPACE ${quoted(tablespace)}`]),
    ...(comment === null ? [] : [`COMMENT ON INDEX ${index} IS ${literal(comment)}`]),
  ]
}

/** Makes the triggers of one table on another. `from` and `table` are quoted. */
export function triggersSql(triggers: readonly TriggerFacts[], from: string, table: string): readonly string[] {
  return triggers.flatMap((trigger) => {
    const name = quoted(trigger.name)
    return [
      elsewhere(trigger.definition, from, table),
      ...triggerStateSql(trigger, table),
      ...(trigger.comment === null ? [] : [`COMMENT ON TRIGGER ${name} ON ${table} IS ${literal(trigger.comment)}`]),
    ]
  })
}

const STATES: Readonly<Record<string, string>> = { D: 'DISABLE', R: 'ENABLE REPLICA', A: 'ENABLE ALWAYS' }

/** A trigger that has just been made fires as an ordinary one. */
function triggerStateSql({ name, enabled }: TriggerFacts, table: string): readonly string[] {
  const state = STATES[enabled]
  return state === undefined ? [] : [`ALTER TABLE ${table} ${state} TRIGGER ${quoted(name)}`]
}

/** The definition of a trigger, with another table's name behind the first `ON`. */
export function elsewhere(definition: string, from: string, to: string): string {
  return definition.replace(` ON ${from} `, () => ` ON ${to} `)
}

/** The same kind of identity, with a sequence of this name. */
export function identitySql(table: string, { column, parameters, schema }: SequenceFacts, kind: string, name: string): string {
  return `ALTER TABLE ${table} ALTER COLUMN ${quoted(column)} ADD GENERATED ${kind === 'a' ? 'ALWAYS' : 'BY DEFAULT'} AS IDENTITY (SEQUENCE NAME ${qualified(schema, name)} ${parameters})`
}

/** What `LIKE` does not copy of the columns. */
export function columnsSql({ columns }: Dependents, table: string): readonly string[] {
  return columns.flatMap(({ name, statisticsTarget, options }) => [
    ...(statisticsTarget < 0 ? [] : [`ALTER TABLE ${table} ALTER COLUMN ${quoted(name)} SET STATISTICS ${statisticsTarget}`]),
    ...(options.length === 0 ? [] : [`ALTER TABLE ${table} ALTER COLUMN ${quoted(name)} SET (${optionsSql(options)})`]),
  ])
}

/** Of a table, a column or a view: the values are quoted, since the catalogue keeps them as they were meant. */
export function optionsSql(options: readonly string[]): string {
  return options.map((option) => `${option.slice(0, option.indexOf('='))} = ${literal(option.slice(option.indexOf('=') + 1))}`).join(', ')
}

/**
 * Gives a table that was made `LIKE` its parent what `LIKE` does not give: owner, privileges, settings of columns, and the storage parameters of `options`,
 * which a partitioned table cannot have itself.
 */
export async function liken(tx: Query, parent: Dependents, name: string, options: readonly string[]): Promise<void> {
  const table = qualified(parent.schema, name)
  await tx.query(`ALTER TABLE ${table} OWNER TO ${quoted(parent.owner)}`)
  const statements = [
    ...grantsSql(`TABLE ${table}`, parent.grants, await readGrants(tx, parent.schema, name)),
    ...columnsSql(parent, table),
    ...(options.length === 0 ? [] : [`ALTER TABLE ${table} SET (${optionsSql(options)})`]),
    ...(parent.replicaIdentity === 'f' ? [`ALTER TABLE ${table} REPLICA IDENTITY FULL`] : []),
  ]
  if (statements.length > 0) await tx.query(statements.join('; '))
}
