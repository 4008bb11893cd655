import type { Ailment, Condition, Limits } from '../../examining.ts'
import type { Query } from '../../query.ts'
import { EQ } from '../exact.ts'
import { oldTransactions, preparedTransactions, replicationSlots } from './held-back.ts'

/** What every role may read, and of the rest what this one may. */
export async function condition(query: Query, limits: Limits): Promise<Condition> {
  const [may] = (await query.query<{ reads_stats: boolean; role: string }>(MAY)).rows
  const seesOthers = may?.reads_stats === true
  return {
    oldTransactions: await oldTransactions(query, limits.oldTransactionMs),
    preparedTransactions: await preparedTransactions(query, limits.oldTransactionMs),
    replicationSlots: await replicationSlots(query),
    settings: await settings(query),
    journal: [],
    log: [],
    files: [],
    folder: undefined,
    unseen: [
      ...(seesOthers
        ? []
        : [
            `how long transactions of other roles have been open: role ${may?.role} may not see it, which GRANT pg_read_all_stats would allow`,
          ]),
      "the free disk of the server, and its files' owners and modes: PostgreSQL does not tell them. Watch them on its host",
    ],
  }
}

const MAY = `SELECT pg_catalog.pg_has_role('pg_read_all_stats'::pg_catalog.name, 'USAGE'::pg_catalog.text) AS reads_stats, current_user::pg_catalog.text AS role`

interface Expected {
  readonly name: string
  readonly value: string
  readonly grave: boolean
  readonly effect: string
}

/** `track_counts` keeps autovacuum's own statistics, so it hardly works without it. That autovacuum itself is off is said with the tables it is missed for. */
const EXPECTED: readonly Expected[] = [
  { name: 'fsync', value: 'on', grave: false, effect: 'a crash of the machine may leave a database that cannot be repaired' },
  { name: 'full_page_writes', value: 'on', grave: false, effect: 'a crash of the machine may leave torn pages that nothing repairs' },
  {
    name: 'track_counts',
    value: 'on',
    grave: true,
    effect: 'autovacuum does not know where rows were deleted, and their space is not used again',
  },
  { name: 'zero_damaged_pages', value: 'off', grave: true, effect: 'rows of damaged pages vanish without an error' },
  {
    name: 'session_replication_role',
    value: 'origin',
    grave: true,
    effect: 'triggers do not fire, nor are foreign keys checked, for this role',
  },
  { name: 'ignore_system_indexes', value: 'off', grave: false, effect: 'every look into the catalogue is a scan' },
]

async function settings(query: Query): Promise<readonly Ailment[]> {
  const { rows } = await query.query<{ name: string; value: string }>(SETTINGS, [JSON.stringify(EXPECTED.map(({ name }) => name))])
  const found = new Map(rows.map(({ name, value }) => [name, value]))
  return EXPECTED.flatMap(({ name, value, grave, effect }) => {
    const is = found.get(name)
    if (is === undefined || is === value) return []
    return [
      {
        grave,
        sentence: `${name} is ${is}: ${effect}`,
        action: `set it to ${value}, on the server or for the role or database that has it`,
      },
    ]
  })
}

const SETTINGS = `SELECT s.name, s.setting AS value FROM pg_catalog.pg_settings AS s
WHERE s.name ${EQ} ANY (ARRAY(SELECT pg_catalog.json_array_elements_text($1::pg_catalog.json)))`
