import { dirname } from 'node:path'
import type { Examining } from '../../examining.ts'
import type { SqliteSession } from '../connection/session.ts'
import { PUBLISHED } from './accepted.ts'
import { condition, journalMode } from './condition.ts'
import { MADE } from './made.ts'
import { quickCheck } from './quick-check.ts'
import { schemaFacts } from './schema-facts.ts'

export interface Examined {
  readonly session: SqliteSession
  /** Whether the file exists; otherwise an empty database stands for it. */
  readonly present: boolean
  /** The Node that runs this program. */
  readonly node: string
}

export function examination({ session, present, node }: Examined): Examining {
  const { file } = session.connection
  return {
    described: MADE,
    accepted: PUBLISHED,
    schema: (relations) => session.read((connection) => schemaFacts(connection, relations)),
    rightsBeyond: () => Promise.resolve([]),
    hindersMigrating: () => Promise.resolve([]),
    condition: async (limits) =>
      present ? await condition(session, limits) : { ...NOTHING, folder: dirname(file), unseen: [`${file}: it does not exist yet`] },
    thorough: async (limits, signal) => {
      if (!present) return { damage: [], unseen: `${file}: it does not exist yet` }
      const mode = await session.read(journalMode)
      return await quickCheck({ file, node, signal, mostMs: mode === 'wal' ? undefined : limits.longestLockMs })
    },
  }
}

const NOTHING = {
  oldTransactions: [],
  preparedTransactions: [],
  replicationSlots: [],
  settings: [],
  journal: [],
  log: [],
  files: [],
} as const
