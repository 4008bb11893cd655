import { stemOf } from '../../migrations/file-names.ts'
import { counted, sizeText } from '../../number-text.ts'
import type { StatusDocument } from '../../status/document.ts'
import { durationText } from '../../time/time-text.ts'
import { html, type Html, type Part } from './html.ts'
import { ago, at } from './moments.ts'
import { cut } from './texts.ts'

export function migrationsSection({ migrations }: StatusDocument): Html | undefined {
  if (migrations === null) return undefined
  const { applied, pending, enabled, problem } = migrations
  return html`<section aria-labelledby="migrations">
    <h2 id="migrations">Migrations</h2>
    <p>
      ${applied.length} applied, ${pending.length === 0 ? 'none' : pending.length}
      pending${enabled ? undefined : '; disabled by migrations.enabled'}
    </p>
    ${problem === null ? undefined : html`<p>${cut(problem)}</p>`}
    ${list([...pending.map((each): Fact => [stemOf(each), 'pending']), ...applied.toReversed().map((each): Fact => [stemOf(each), at(each.appliedAt)])])}
  </section>`
}

export function archiveSection({ at: now, archive }: StatusDocument): Html | undefined {
  if (!archive.enabled && !archive.rows) return undefined
  const { enabled, directory, retention, rows, bytes, files, newestAt, lagMs, verification } = archive
  return html`<section aria-labelledby="archive">
    <h2 id="archive">Archive</h2>
    <p>${enabled ? 'Audit logs are archived before they are deleted' : 'disabled by archive.enabled'}</p>
    ${list([
      ['directory', directory],
      ['holds', rows === null ? 'not known' : `${counted(rows, 'row')} in ${counted(files ?? 0, 'file')}, ${sizeText(bytes ?? 0)}`],
      ['kept', retention ?? 'for ever'],
      ['newest row', newestAt === null ? 'none' : at(newestAt)],
      ['behind', lagMs === null ? 'not known' : lagMs === 0 ? 'nothing waits' : durationText(lagMs)],
      [
        'verified',
        verification === null
          ? 'never'
          : html`${verification.sound ? 'sound' : html`<b class="bad">✕ damaged</b>`}, ${ago(verification.at, now)}`,
      ],
    ])}
  </section>`
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
