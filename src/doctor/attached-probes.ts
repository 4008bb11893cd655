import { JOBS } from '../catalogue.ts'
import type { SchemaInHand } from './doctor-facts.ts'
import { advice, fault, type Probe, type Told } from './probe.ts'
import { againBy, due, isOurs, makerText, withSchema } from './schema-probes.ts'

/** What runs, hides or blocks when rows of a table are written: its owner, or whoever was allowed to, has attached it. */
export const ATTACHED_PROBES: readonly Probe[] = [
  { code: 'schema-trigger', finds: 'a trigger that a migration made is gone, is off, or does something else', judge: withSchema(triggers) },
  {
    code: 'schema-trigger-unknown',
    finds: 'a trigger that no migration made, also on a single partition; a fault on tables of the worker',
    judge: withSchema(unknownTriggers),
  },
  {
    code: 'schema-function',
    finds: 'a function by which the purge role makes and drops partitions is not the one that `partition start` makes',
    judge: withSchema(functions),
  },
  { code: 'schema-rule', finds: 'a rule, which turns statements into others', judge: withSchema(rules) },
  { code: 'schema-row-security', finds: 'row-level security; a fault where it hides rows from the worker', judge: withSchema(rowSecurity) },
  {
    code: 'schema-foreign-key',
    finds: 'a foreign key that keeps expired rows from going, or refers to tables of the worker',
    judge: withSchema(references),
  },
  {
    code: 'schema-owner',
    finds: 'a table, a view or the function of a trigger of somebody whom the worker does not trust',
    judge: withSchema(({ facts }) => facts.strangers.map((sentence) => fault(sentence))),
  },
]

/** A trigger of the gateway's that has one of our names is left as it is by the migrations, and so is only advice. */
function triggers(schema: SchemaInHand): readonly Told[] {
  const { facts, accepted } = schema
  const found = (kind: 'trigger' | 'function', table: string, name: string): string | undefined =>
    facts.objects.find((each) => each.kind === kind && each.of === table && each.name === name)?.is
  return [
    ...due(schema, 'trigger').flatMap((trigger) => {
      const { of, name } = trigger
      const is = found('trigger', of, name)
      if (is === undefined) return [fault(`${of} has no trigger ${name}, which ${makerText(trigger)} made`, againBy(trigger))]
      if (is === trigger.is || accepted.some((each) => each.kind === 'trigger' && each.of === of && each.name === name && each.is === is))
        return []
      return [
        (isOurs(of) ? fault : advice)(
          `the trigger ${name} of ${of} is not the one that ${makerText(trigger)} made: ${is}`,
          'find out who changed it, and what it does',
        ),
      ]
    }),
    ...due(schema, 'function').flatMap((called) => {
      const is = found('function', called.of, called.name)
      if (is === undefined || is === called.is) return []
      return [
        fault(
          `the function ${called.name}, which triggers of ${called.of} call, is not the one that ${makerText(called)} made`,
          'find out who changed it; drop it with its triggers, and run the migration again by hand',
        ),
      ]
    }),
    ...facts.silentTriggers
      .filter(({ table, name }) => schema.described.some((each) => each.kind === 'trigger' && each.of === table && each.name === name))
      .map(({ table, name, statement }) => fault(`the trigger ${name} of ${table} is switched off`, `Run: ${statement}`)),
  ]
}

/** Those of the whole table, and those that lie on one of its partitions, which only rows of that partition meet. */
function unknownTriggers({ described, facts }: SchemaInHand): readonly Told[] {
  const ofTables = facts.objects
    .filter(
      ({ kind, of, name }) =>
        kind === 'trigger' && !described.some((each) => each.kind === 'trigger' && each.of === of && each.name === name),
    )
    .map(({ of, name, is }) => ({ table: of, at: of, name, is }))
  const ofPartitions = facts.partitionTriggers.map(({ table, partition, name, is }) => ({
    table,
    at: `${partition}, a partition of ${table}`,
    name,
    is,
  }))
  return [...ofTables, ...ofPartitions].map(({ table, at, name, is }) =>
    isOurs(table)
      ? fault(
          `no migration made the trigger ${name} of ${at}, which runs with the worker's rights: ${is}`,
          'drop it, unless a newer worker made it',
        )
      : advice(
          `no migration made the trigger ${name} of ${at}: ${is}`,
          'check that it is the gateway’s own, and that it is quick if it runs for each row that is deleted',
        ),
  )
}

/** They run with the rights of the table's owner, whoever calls them. Without partitions there are none. */
function functions({ facts }: SchemaInHand): readonly Told[] {
  return facts.changedFunctions.map(({ table, name, statement }) =>
    fault(
      `the function ${name}, which changes ${table} with the rights of its owner, is not the one that this version of the worker makes, or belongs to somebody else`,
      `find out who changed it. Where ${table} has partitions, have its owner run partition start, which makes it anew; otherwise run: ${statement}`,
    ),
  )
}

function rules({ facts }: SchemaInHand): readonly Told[] {
  return facts.rules.map(({ table, name, statement }) =>
    fault(
      `the rule ${name} of ${table} turns statements into others, so that what the worker deletes and writes may not be what it says`,
      `Run: ${statement}`,
    ),
  )
}

/** Of the purged tables each job says so itself. */
function rowSecurity({ facts }: SchemaInHand): readonly Told[] {
  return facts.rowSecurity.flatMap(({ table, active }) => {
    if (!active)
      return [
        advice(
          `${table} has row-level security, which hides nothing from this login: other logins may not see all of its rows`,
          'check that the gateway’s own login does',
        ),
      ]
    return isPurged(table)
      ? []
      : [
          fault(
            `row-level security hides rows of ${table} from the worker`,
            `let the worker connect as the owner of ${table}, or switch it off: ALTER TABLE ${table} DISABLE ROW LEVEL SECURITY`,
          ),
        ]
  })
}

/** Foreign keys that take rows along are the job's own business: it allows them or fails. */
function references({ facts }: SchemaInHand): readonly Told[] {
  return facts.references.flatMap(({ table, by, columns, effect }) => {
    const key = `the foreign key ${by} (${columns.join(', ')})`
    if (isOurs(table))
      return [fault(`${key} refers to ${table}, which is the worker's own`, 'drop it: the worker deletes old records, and changes others')]
    if (!isPurged(table) || effect !== 'blocks') return []
    return [
      advice(
        `${key} keeps rows of ${table} from being purged for as long as a row refers to them: the job then ends as failed`,
        'see docs/foreign-keys.md',
      ),
    ]
  })
}

function isPurged(table: string): boolean {
  return JOBS.some((job) => job.table === table)
}
