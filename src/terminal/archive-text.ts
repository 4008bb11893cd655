import type { ArchiveSummary, Verdict } from '../archive/archive-summary.ts'
import { counted } from '../number-text.ts'
import type { ArchiveStatus } from '../status/archive-status.ts'
import { holdsText, keptText, lagText, NEVER_VERIFIED } from '../status/sentences.ts'
import type { EpochMs } from '../time/clock.ts'
import { agoText, zonedText } from '../time/time-text.ts'
import { ink, red, type Part, type Style } from './style.ts'
import type { Row } from './table.ts'

/** Whether it is shown: it is enabled, or something was archived. */
export function isShown({ enabled, summary }: ArchiveStatus): boolean {
  return enabled || (summary !== undefined && (summary.head !== null || summary.pendingFiles > 0))
}

/** All about it but its problems and warnings. */
export function archiveRows(
  { enabled, directory, bucket, keptMs, summary, lagMs, expiredBefore }: ArchiveStatus,
  at: EpochMs,
  style: Style,
): Row[] {
  return [
    [
      bucket === undefined ? 'folder' : 'bucket',
      `${directory}, files are kept ${keptText(keptMs)}${enabled ? '' : '; disabled by archive.enabled'}`,
    ],
    ...(summary === undefined ? [] : summaryRows(summary, at, style)),
    ...(lagMs === undefined ? [] : [['lag', lagText(lagMs)] as const]),
    ...(expiredBefore === undefined ? [] : [['expired', `files of days before ${expiredBefore}`] as const]),
  ]
}

function summaryRows(summary: ArchiveSummary, at: EpochMs, style: Style): Row[] {
  const { newestAt, head, pendingFiles, verification } = summary
  const until = newestAt === undefined ? '' : `, up to ${zonedText(newestAt)}`
  return [
    ['holds', `${holdsText(summary)}${until}`],
    ...(pendingFiles === 0
      ? []
      : [['pending', `${counted(pendingFiles, 'file')}: of a run that is still working, or that the next run settles`] as const]),
    ...(head === null ? [] : [['newest', `${head.manifest}, SHA-256 ${head.sha256}`] as const]),
    ...(head === null && verification === undefined ? [] : [['verified', verifiedText(verification, at, style)] as const]),
  ]
}

function verifiedText(verification: Verdict | undefined, at: EpochMs, style: Style): Part {
  if (verification === undefined) return NEVER_VERIFIED
  const when = `${agoText(at - verification.at)} (${zonedText(verification.at)})`
  return verification.sound ? `sound ${when}` : ink`${red('damaged', style)} ${when}: archive verify says what is wrong`
}
