import type { Verdict } from '../../archive/archive-summary.ts'
import { stemOf } from '../../migrations/file-names.ts'
import { counted } from '../../number-text.ts'
import type { HoldStatus } from '../../status/holds-status.ts'
import type { Status } from '../../status/read-status.ts'
import { partitionFacts } from '../../status/partition-sentences.ts'
import { holdsText, keptText, lagText, migrationsText, NEVER_VERIFIED } from '../../status/sentences.ts'
import type { EpochMs } from '../../time/clock.ts'
import { html, type Html, type Part } from './html.ts'
import { ago, at, on } from './moments.ts'
import { lines } from './texts.ts'

export function migrationsSection({ migrations }: Status): Html | undefined {
  if (migrations === undefined) return undefined
  const { applied, pending, problem } = migrations
  return html`<section aria-labelledby="migrations">
    <h2 id="migrations">Migrations</h2>
    <p>${migrationsText(migrations)}</p>
    ${problem === undefined ? undefined : html`<p>${lines(problem)}</p>`}
    ${list([...pending.map((each): Fact => [stemOf(each), 'pending']), ...applied.toReversed().map((each): Fact => [stemOf(each), at(each.appliedAt)])])}
  </section>`
}

export function archiveSection({ at: now, archive }: Status): Html | undefined {
  const { enabled, directory, keptMs, summary, lagMs } = archive
  if (!enabled && !summary?.rows) return undefined
  return html`<section aria-labelledby="archive">
    <h2 id="archive">Archive</h2>
    <p>${enabled ? 'Audit logs are archived before they are deleted' : 'disabled by archive.enabled'}</p>
    ${list([
      ['directory', directory],
      ['holds', summary === undefined ? 'not known' : holdsText(summary)],
      ['kept', keptText(keptMs)],
      ['newest row', summary?.newestAt === undefined ? 'none' : at(summary.newestAt)],
      ['lag', lagMs === undefined ? 'not known' : lagText(lagMs)],
      ['verified', verified(summary?.verification, now)],
    ])}
  </section>`
}

/** Only where a table has partitions of ours, or is about to. */
export function partitionsSection({ at: now, partitions }: Status): Html | undefined {
  if (partitions.tables.length === 0) return undefined
  return html`<section aria-labelledby="partitions">
    <h2 id="partitions">Partitions</h2>
    <p>${partitions.enabled ? 'Made ahead, and dropped once all of their rows have expired' : 'disabled by partitions.enabled'}</p>
    ${partitions.tables.map((each) => list(partitionFacts(each, now)))}
  </section>`
}

/** Their names alone: what they keep names people, and anybody who reaches the port reads this. */
export function holdsSection({ at: now, jobs }: Status): Html | undefined {
  const holding = jobs.filter(({ holds = [] }) => holds.length > 0)
  if (holding.length === 0) return undefined
  return html`<section class="holds" aria-labelledby="holds">
    <h2 id="holds">Legal holds</h2>
    ${holding.map(
      ({ job, holds = [] }) =>
        html`<p>Rows of ${job.table} that stay until a hold is released</p>
          ${list(holds.map((hold): Fact => [hold.name, holdFact(hold, now)]))} `,
    )}
  </section>`
}

/** A browser would break days at their hyphens. */
function holdFact({ placedAt, reviewAt, kept }: HoldStatus, now: EpochMs): Html {
  const review = reviewAt === undefined ? undefined : html`, review ${reviewAt <= now ? 'was due ' : ''}${on(reviewAt)}`
  return html`since ${on(placedAt)}${review}${kept === undefined ? undefined : `, ${counted(kept, 'row')}`}`
}

function verified(verification: Verdict | undefined, now: EpochMs): Part {
  if (verification === undefined) return NEVER_VERIFIED
  return html`${verification.sound ? 'sound' : html`<b class="bad">✕ damaged</b>`}, ${ago(verification.at, now)}`
}

type Fact = readonly [name: string, text: Part]

function list(rows: readonly Fact[]): Html {
  return html`<dl>
    ${rows.map(
      ([name, text]) =>
        html`<div>
          <dt>${name}</dt>
          <dd>${text}</dd>
        </div> `,
    )}
  </dl>`
}
