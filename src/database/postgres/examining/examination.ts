import type { Examining } from '../../examining.ts'
import type { Query, Session } from '../../query.ts'
import { condition } from './condition.ts'
import { MADE } from './made.ts'
import { hindersMigrating, rightsBeyond } from './rights.ts'
import { schemaFacts } from './schema-facts.ts'

export interface Examined {
  /** Reads only. */
  readonly transaction: Session['transaction']
  readonly schema: string
}

export function examination({ transaction, schema }: Examined): Examining {
  const query: Query['query'] = (sql, values) => transaction((tx) => tx.query(sql, values))
  return {
    described: MADE,
    accepted: ACCEPTED,
    schema: (relations, columns) => transaction((tx) => schemaFacts(tx, schema, relations, columns)),
    rightsBeyond: (needed) => rightsBeyond({ query }, schema, needed),
    hindersMigrating: () => hindersMigrating({ query }, schema),
    condition: (limits) => condition({ query }, limits),
    thorough: () => Promise.resolve({ damage: [], unseen: NOT_READ }),
  }
}

const NOT_READ =
  'the pages of tables and indexes: PostgreSQL checks a page when it reads it, where the cluster has checksums. To read all of them, run pg_amcheck on the server'

/** Of the gateway's published script. */
const UPDATED_AT = 'BEFORE UPDATE FOR EACH ROW EXECUTE FUNCTION update_updated_at_column()'
const ACCEPTED: Examining['accepted'] = ['tools', 'mcp_servers'].map((of) => ({
  kind: 'trigger',
  of,
  name: `update_${of}_updated_at`,
  is: UPDATED_AT,
}))
