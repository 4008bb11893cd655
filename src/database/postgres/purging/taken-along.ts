import { allowance, clauseOf, judgedBy, reachOf, type Cascade, type Judged, type Reach } from '../../cascades.ts'
import { DatabaseError } from '../../database-error.ts'
import { GATEWAY_TABLES } from '../../gateway-tables.ts'
import type { Terms } from '../../purging.ts'
import { qualified, quoted } from '../identifiers.ts'
import type { Taken } from './cascaded.ts'
import { withAncestors, withDescendants, withPartitions, type Neighbourhood, type PostgresForeignKey } from './foreign-keys.ts'

export function reachIn(neighbourhood: Neighbourhood): Reach<PostgresForeignKey> {
  const start = new Set([...withDescendants(neighbourhood, neighbourhood.own.id), ...withPartitions(neighbourhood, neighbourhood.own.id)])
  return reachOf([...start], neighbourhood.keys, (child) => withPartitions(neighbourhood, child))
}

export function takenFrom(neighbourhood: Neighbourhood, { cascades }: Reach<PostgresForeignKey>): Taken {
  const children = new Set(cascades.flatMap(({ key }) => withPartitions(neighbourhood, key.child)))
  const tables = [...children].filter((id) => neighbourhood.relations.get(id)?.kind === 'r')
  return { tables, ownToo: children.has(neighbourhood.own.id) }
}

/** Returns a warning for each cascade that is no matter of the gateway's. Throws if a purge would take along rows that no setting allows. */
export function mustTakeNothing(neighbourhood: Neighbourhood, reach: Reach<PostgresForeignKey>, terms: Terms): readonly string[] {
  const { own } = neighbourhood
  const gatewayTable = (child: string): string | undefined =>
    withAncestors(neighbourhood, child).find(({ schema, name }) => schema === own.schema && GATEWAY_TABLES.includes(name))?.name
  const judged = judgedBy(terms, own.name, reach.cascades, gatewayTable)
  const problems = problemsOf(neighbourhood, terms, judged)
  if (problems.length > 0) throw new DatabaseError('failed', problems)
  const unarchived = terms.archived.includes(own.name) ? '; they are in no file of the archive' : ''
  return judged.told.map((cascade) => `deleting from ${told(neighbourhood, cascade)}${unarchived}`)
}

function problemsOf(
  neighbourhood: Neighbourhood,
  terms: Terms,
  { keeping: kept, refused, unarchived }: Judged<PostgresForeignKey>,
): readonly string[] {
  return [
    ...kept.map(
      (cascade) =>
        `Deleting from ${told(neighbourhood, cascade)}, and a legal hold or a retention rule keeps rows of ${cascade.table}, which the foreign key does not ask. ` +
        `Nothing was deleted. Let the foreign key keep both rows. Run: ${keeping(neighbourhood, cascade)}`,
    ),
    ...unarchived.map(
      (cascade) =>
        `Deleting from ${told(neighbourhood, cascade)}, and rows of ${cascade.table} are archived before they go. Nothing was deleted. ` +
        `Set ARCHIVE_ENABLED=false, or let the foreign key keep both rows. Run: ${keeping(neighbourhood, cascade)}`,
    ),
    ...refused.map(
      (cascade) =>
        `Deleting from ${told(neighbourhood, cascade)}. Nothing was deleted. If that is intended, set ${allowance(terms, cascade.table)}. ` +
        `If not, let the foreign key keep both rows. Run: ${keeping(neighbourhood, cascade)}`,
    ),
  ]
}

function told(neighbourhood: Neighbourhood, cascade: Cascade<PostgresForeignKey>): string {
  const { own } = neighbourhood
  const { key, effect } = cascade
  const way = key.parent === own.id ? '' : ` of ${titleOf(neighbourhood, key.parent)}`
  return `${own.schema}.${own.name} also ${effect} rows of ${titleOf(neighbourhood, key.child)}, which refer to those${way} (${clauseOf(cascade)} of ${quoted(key.name)})`
}

function titleOf({ relations }: Neighbourhood, id: string): string {
  const { schema, name } = relations.get(id)!
  return `${schema}.${name}`
}

/** NOT VALID spares a scan of the table under a lock; a partitioned table takes no such key before PostgreSQL 18. */
function keeping({ relations }: Neighbourhood, { key, by }: Cascade<PostgresForeignKey>): string {
  const [child, parent] = [relations.get(key.child)!, relations.get(key.parent)!]
  const [other, action] = by === 'ON DELETE' ? ['ON UPDATE', key.onUpdate] : ['ON DELETE', key.onDelete]
  const kept = action === 'none' ? '' : ` ${other} ${action.toUpperCase()}`
  return (
    `ALTER TABLE ${qualified(child.schema, child.name)} DROP CONSTRAINT ${quoted(key.name)}, ADD CONSTRAINT ${quoted(key.name)} ` +
    `FOREIGN KEY (${key.childColumns.map(quoted).join(', ')}) REFERENCES ${qualified(parent.schema, parent.name)} (${key.parentColumns.map(quoted).join(', ')})` +
    `${key.matchFull ? ' MATCH FULL' : ''}${kept}${key.deferral}${child.kind === 'p' ? '' : ' NOT VALID'}`
  )
}
