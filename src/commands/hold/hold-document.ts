import { canonicalMatch } from '../../policy/match.ts'
import type { StoredHold } from '../../runs/stored-holds.ts'
import { formatTime } from '../../time/clock.ts'
import { HELD_JOB } from './open-holds.ts'

/** A hold, for programs. Names and meanings stay; more may be added. */
export function holdDocument({ id, name, job, keeps, reason, placedAt, placedBy, reviewAt, released }: StoredHold): object {
  const isKnown = !('problems' in keeps)
  return {
    id,
    name,
    job,
    matches: isKnown ? canonicalMatch(keeps.match, HELD_JOB.holdable.by) : null,
    from: isKnown && keeps.from !== undefined ? formatTime(keeps.from) : null,
    to: isKnown && keeps.until !== undefined ? formatTime(keeps.until) : null,
    problems: isKnown ? [] : keeps.problems,
    reason,
    placedAt: formatTime(placedAt),
    placedBy,
    reviewAt: reviewAt === undefined ? null : formatTime(reviewAt),
    released: released === undefined ? null : { at: formatTime(released.at), by: released.by, reason: released.reason },
  }
}
