import { isSystemSchema } from './schema-name.ts'

/** The first schema of a search path that could hold the gateway's tables. One that the server itself refuses has none. */
export function firstSchema(path: string): string | undefined {
  return namesOf(path).find((name) => name !== '' && name !== '$user' && !isSystemSchema(name))
}

/** The search path that the `options` of a connection set, as the server reads that command line: of several the last counts. */
export function searchPathOf(options: string): string | undefined {
  return settingsOf(wordsOf(options)).findLast(([name]) => name === 'search_path')?.[1]
}

/** `gw, "a,b"` as a list: what is not quoted is folded to small letters, and two quotation marks within quotation marks are one. */
function namesOf(path: string): readonly string[] {
  const NAME = /[ \t\n\r\f\v]*(?:"((?:[^"]|"")*)"|([^ \t\n\r\f\v",][^ \t\n\r\f\v,]*))[ \t\n\r\f\v]*(,|$)/y
  const names: string[] = []
  for (let more = true; more;) {
    const [, quoted, plain, end] = NAME.exec(path) ?? []
    if (end === undefined) return []
    // ASCII alone, as a server does whose encoding is UTF-8.
    names.push(quoted?.replaceAll('""', '"') ?? plain!.replace(/[A-Z]+/g, (letters) => letters.toLowerCase()))
    more = end !== ''
  }
  return names
}

/** Blanks part the words, and a backslash keeps what follows it. */
function wordsOf(options: string): readonly string[] {
  return [...options.matchAll(/(?:\\[^]|[^ \t\n\r\f\v\\])+/g)].map(([word]) => word.replace(/\\([^])/g, '$1'))
}

/** Switches of the server that take a value; the others may stand together with them in a word, as in `-ec name=value`. */
const WITH_VALUE = /(?<=.)[BCDNSWcdfhkprtv-]/

/** Of `-c name=value` and `--name=value`. A dash in a name is an underscore, and capitals do not count. */
function settingsOf(words: readonly string[]): readonly (readonly [name: string, value: string])[] {
  const settings: (readonly [name: string, value: string])[] = []
  for (let at = 0; at < words.length; at += 1) {
    const word = words[at]!
    // The end of the switches.
    if (!/^-./.test(word) || word === '--') break
    const place = word.search(WITH_VALUE)
    if (place === -1) continue
    const attached = word.slice(place + 1)
    const given = attached === '' ? (words[(at += 1)] ?? '') : attached
    const [, name, value] = /^([^=]*)=([^]*)$/.exec(given) ?? []
    if (name !== undefined && 'c-'.includes(word.charAt(place))) settings.push([name.replaceAll('-', '_').toLowerCase(), value!])
  }
  return settings
}
