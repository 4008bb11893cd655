import { findingsOf } from '../../status/findings.ts'
import type { Status } from '../../status/read-status.ts'
import { findingText, ON_STANDBY, placeText, spaceText, verdictText } from '../../status/sentences.ts'
import { formatTime } from '../../time/clock.ts'
import { deletedSection } from './deleted-chart.ts'
import { archiveSection, holdsSection, migrationsSection, partitionsSection } from './facts.ts'
import { html, type Html } from './html.ts'
import { jobsSection } from './jobs.ts'
import { STYLE_ELEMENT, STYLE_HASH } from './page-style.ts'
import { runsSection } from './runs.ts'
import { lines } from './texts.ts'

/** No scripts, no requests, no frames; the one style is allowed by its hash, and the icon is part of the page. */
export const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  `style-src '${STYLE_HASH}'`,
  'img-src data:',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

/** A page for people: everything on it is in `/status` too. It has no scripts and needs none. */
export function pageOf(status: Status): string {
  const { database, version } = status
  const { engine, name, standby, space } = database
  const asOf = formatTime(status.at)
  const findings = findingsOf(status)
  const isWell = findings.length === 0
  const verdict = verdictText(status, findings)
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width" />
        <meta name="color-scheme" content="light dark" />
        <title>${verdict}: maintenance of ${name}</title>
        <link rel="icon" href="${icon(isWell)}" />
        ${STYLE_ELEMENT}
      </head>
      <body>
        <header>
          <p class="product">mcp-gateway-maintenance ${version}</p>
          <h1 class="${isWell ? 'well' : 'unwell'}">${mark(isWell)}${verdict}</h1>
          ${
            isWell
              ? undefined
              : html`<ul class="attention">
                  ${findings.map((each) => html`<li>${lines(findingText(each))}</li> `)}
                </ul>`
          }
          <p class="where">
            ${engine}
            <code>${placeText(database)}</code
            >${space === undefined ? undefined : `, ${spaceText(space)}`}${standby ? `, ${ON_STANDBY}` : undefined}
          </p>
        </header>
        <main>
          ${jobsSection(status)} ${deletedSection(status)} ${runsSection(status)}
          <div class="beside">
            ${holdsSection(status)} ${migrationsSection(status)} ${archiveSection(status)} ${partitionsSection(status)}
          </div>
        </main>
        <footer>
          <p>
            As of <time datetime="${asOf}">${asOf.slice(0, 19).replace('T', ' ')}</time>; all times are UTC. The same as JSON:
            <a href="/status">/status</a>, for Prometheus: <a href="/metrics">/metrics</a>.
          </p>
        </footer>
      </body>
    </html> `.text
}

function mark(well: boolean): Html {
  return html`<svg class="mark" viewBox="0 0 24 24" aria-hidden="true">
    <circle cx="12" cy="12" r="12" />
    <path d="${well ? 'M6.5 12.5l3.8 3.8 7.2-8' : 'M12 5.5v8M12 17.2v1.3'}" />
  </svg>`
}

function icon(well: boolean): string {
  return `data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Ccircle cx='8' cy='8' r='7' fill='%23${well ? '1f7a4d' : 'c2321f'}'/%3E%3C/svg%3E`
}
