import { DAY, HOUR, MINUTE, SECOND, type EpochMs } from './clock.ts'

/** `12 ms`, `3.4 s`, `2 min 5 s`, `3 h 12 min`, `5 d 3 h`: rounded for people. Settings and JSON use `formatDuration`. */
export function durationText(ms: number): string {
  if (ms < SECOND) return `${Math.round(ms)} ms`
  if (ms < 10 * SECOND) return `${(ms / SECOND).toFixed(1).replace('.0', '')} s`
  if (ms < MINUTE) return `${Math.round(ms / SECOND)} s`
  const [large, small] = ms < HOUR ? [MINUTE, SECOND] : ms < DAY ? [HOUR, MINUTE] : [DAY, HOUR]
  const smalls = Math.round(ms / small)
  const rest = smalls % (large / small)
  const head = `${Math.floor((smalls * small) / large)} ${UNIT_NAMES[large]}`
  return rest === 0 ? head : `${head} ${rest} ${UNIT_NAMES[small]}`
}

export function agoText(ms: number): string {
  return ms < SECOND ? 'just now' : `${durationText(ms)} ago`
}

const UNIT_NAMES: Readonly<Record<number, string>> = { [SECOND]: 's', [MINUTE]: 'min', [HOUR]: 'h', [DAY]: 'd' }

/** `2026-11-24 03:00`, in UTC. */
export function minuteText(time: EpochMs): string {
  const date = new Date(time)
  return Number.isNaN(date.getTime()) ? `${time} ms` : date.toISOString().slice(0, 16).replace('T', ' ')
}

/** `2026-11-24 03:00 UTC, 04:00 CET`: also as the clocks of the host's zone show it, where that is another. */
export function zonedText(time: EpochMs): string {
  const parts = new Map(inHostZone(time).map(({ type, value }) => [type, value]))
  const part = (type: Intl.DateTimeFormatPartTypes): string => parts.get(type) ?? ''
  const zone = part('timeZoneName')
  const utc = minuteText(time)
  if (zone === 'UTC') return `${utc} UTC`
  const day = `${part('year')}-${part('month')}-${part('day')}`
  const clock = `${part('hour')}:${part('minute')}`
  return `${utc} UTC, ${utc.startsWith(day) ? '' : `${day} `}${clock} ${zone}`
}

/** British English knows the names of zones that have one. Created on first use: loading the data of zones and languages takes longer than a run. */
function inHostZone(time: EpochMs): readonly Intl.DateTimeFormatPart[] {
  return new Intl.DateTimeFormat('en-GB', {
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
    timeZoneName: 'short',
  }).formatToParts(time)
}
