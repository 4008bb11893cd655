import { JOBS, rulesVariable } from '../catalogue.ts'
import type { Environment } from './layer.ts'
import { nearest } from './nearest.ts'
import { SETTINGS } from './schema.ts'

/** Variables that container platforms set for every service or linked container. Nobody means them as settings. */
export function isPlatformAddress(text: string): boolean {
  return /^(?:tcp|udp|sctp):\/\//.test(text)
}

/** Variables that look like settings but are not, one line each; never their values. */
export function nearMisses(env: Environment, names: readonly string[]): readonly string[] {
  const lines = Object.entries(env).flatMap(([name, text = '']) => {
    if (text === '' || names.includes(name) || isForeign(name) || isPlatformAddress(text)) return []
    const advice = adviceFor(name, names)
    return advice === undefined ? [] : [`the environment variable ${name} is not a setting and is ignored; ${advice}`]
  })
  const rest = lines.length - MOST_LINES
  return rest > 0 ? [...lines.slice(0, MOST_LINES), `${rest} more environment variables look like settings but are not`] : lines
}

const MOST_LINES = 10

/** Names that follow the conventions of other programs: services and links, proxies, TLS, npm. */
const FOREIGN = /_SERVICE_(?:HOST|PORT)(?:_|$)|_PORT_\d+_(?:TCP|UDP|SCTP)(?:_|$)|_ENV_|^HTTPS_|^npm_/

function isForeign(name: string): boolean {
  return !/^[A-Za-z][\w.-]{5,59}$/.test(name) || FOREIGN.test(name)
}

/** A shorter name is one or two letters away from too many words. */
const LONG_NAME = 12

function adviceFor(name: string, names: readonly string[]): string | undefined {
  const spelt = name.toUpperCase().replaceAll(/[.-]/g, '_')
  if (names.includes(spelt)) return `the name is ${spelt}`
  const [bare, unit] = withoutUnit(spelt)
  const meant = nearestOf(bare, names)
  if (unit !== undefined)
    return meant !== undefined && IN_TIME.has(meant) ? `${meant} takes a number with its unit, such as 90d or 30s` : undefined
  // A numbered variable is probably meant for a second database.
  if (meant !== undefined) return withoutDigits(spelt) === withoutDigits(meant) ? undefined : `did you mean ${meant}?`
  const job = JOBS.find(({ environment, keep }) => [environment, keep.environment].some((begin) => spelt.startsWith(`${begin}_`)))
  if (job === undefined) return undefined
  const own = names.filter((each) => each.startsWith(`${job.environment}_`) || each === job.keep.environment || each === rulesVariable(job))
  return `those of ${job.name} are ${own.join(', ')}`
}

const IN_TIME: ReadonlySet<string> = new Set(
  SETTINGS.flatMap(({ format, env }) => (/^(?:duration|grace|retention)/.test(format) ? [env] : [])),
)

function withoutUnit(name: string): readonly [bare: string, unit: string | undefined] {
  const [, bare, unit] = /^(.*)_(DAYS?|HOURS?|MINUTES?|SECONDS?|MS|MILLIS)$/.exec(name) ?? []
  return bare === undefined ? [name, undefined] : [bare, unit]
}

function withoutDigits(name: string): string {
  return name.replaceAll(/_?\d+/g, '')
}

/** Comparing letter by letter takes time, and a large namespace puts thousands of variables into an environment. */
function nearestOf(name: string, names: readonly string[]): string | undefined {
  const alike = names.filter((each) => each.slice(0, 3) === name.slice(0, 3) || each.slice(-4) === name.slice(-4))
  const [short, long] = [alike.filter(({ length }) => length < LONG_NAME), alike.filter(({ length }) => length >= LONG_NAME)]
  return nearest(name, short, 1) ?? nearest(name, long)
}
