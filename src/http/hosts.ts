import { isIP } from 'node:net'

/** Whether a page is shown to a request that names this host; `undefined`: it names none. */
export type HostRule = (host: string | undefined) => boolean

export interface HostRuleOptions {
  /** Whether only this machine can reach the listener. */
  readonly loopback: boolean
  /** As `http.allowedHosts` lists them; `undefined`: the setting is absent. */
  readonly allowed: readonly string[] | undefined
}

/**
 * A site on the Internet can have a name of its own resolve to 127.0.0.1, and a browser on this machine then reads the worker's pages for it (DNS rebinding).
 * Such requests carry the site's name. Therefore, on loopback, only requests for `localhost`, for literal addresses, which no DNS server can point elsewhere,
 * and for listed hosts are answered. Beyond loopback, everybody who can reach the listener is answered, unless hosts are listed.
 */
export function hostRule({ loopback, allowed }: HostRuleOptions): HostRule {
  if (!loopback && allowed === undefined) return () => true
  const patterns = (allowed ?? []).map(patternOf)
  return (header) => {
    const host = header === undefined ? undefined : hostOf(header)
    if (host === undefined) return patterns.includes(EVERY_HOST)
    return (loopback && isLocal(host)) || patterns.some((pattern) => fits(pattern, host))
  }
}

/** Whether an entry of `http.allowedHosts` is valid: a name, an address, `*.` and a name, or `*`. */
export function isHostPattern(entry: string): boolean {
  const pattern = patternOf(entry)
  if (pattern === EVERY_HOST) return true
  const name = pattern.startsWith('*.') ? pattern.slice(2) : pattern
  if (isAddress(name)) return name === pattern
  return name.length <= LONGEST_NAME && NAME.test(name) && hostOf(name) === name
}

/** Whether only this machine can reach the address. */
export function isLoopback(address: string): boolean {
  return address === '::1' || /^(?:::ffff:)?127\./i.test(address)
}

const EVERY_HOST = '*'
const LONGEST_NAME = 253
const NAME = /^[a-z\d_](?:[\w-]{0,61}[a-z\d_])?(?:\.[a-z\d_](?:[\w-]{0,61}[a-z\d_])?)*$/

/** The host of `host:port` in its one normal spelling: lower case, no dot at the end, addresses abbreviated. `undefined`: it is not well formed. */
function hostOf(header: string): string | undefined {
  // Anything else, such as a user, a path or an encoded character, would be interpreted by the parser below.
  if (!/^[\w.:[\]-]+$/.test(header)) return undefined
  const host = URL.parse(`http://${header}`)?.hostname.replace(/\.$/, '')
  return host === '' ? undefined : host
}

/** An entry in the spelling of `hostOf`; an invalid one stays as it is. */
function patternOf(entry: string): string {
  const text = entry.toLowerCase()
  if (isIP(text) === 6) return hostOf(`[${text}]`) ?? text
  return isAddress(text) ? (hostOf(text) ?? text) : text.replace(/(?<=[^.*])\.$/, '')
}

function fits(pattern: string, host: string): boolean {
  if (pattern === EVERY_HOST || pattern === host) return true
  return pattern.startsWith('*.') && host.endsWith(pattern.slice(1)) && host.length >= pattern.length
}

function isLocal(host: string): boolean {
  return host === 'localhost' || isAddress(host)
}

function isAddress(host: string): boolean {
  return isIP(host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host) !== 0
}
