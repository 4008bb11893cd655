import { isSystemSchema } from './schema-name.ts'

/** The first schema of a search path that could hold the gateway's tables; none if the server would reject the path. */
export function firstSchema(path: string): string | undefined {
  return namesOf(path).find((name) => name !== '' && name !== '$user' && !isSystemSchema(name))
}

/** The search path set by the `options` of a connection, read as the server reads that command line: the last one counts. */
export function searchPathOf(options: string): string | undefined {
  return settingsOf(wordsOf(options)).findLast(([name]) => name === 'search_path')?.[1]
}

/** `gw, "a,b"` as a list: unquoted names become lower case, and a doubled quotation mark inside quotes is one. */
function namesOf(path: string): readonly string[] {
  const NAME = /[ \t\n\r\f\v]*(?:"((?:[^"]|"")*)"|([^ \t\n\r\f\v",][^ \t\n\r\f\v,]*))[ \t\n\r\f\v]*(,|$)/y
  const names: string[] = []
  for (let more = true; more;) {
    const [, quoted, plain, end] = NAME.exec(path) ?? []
    if (end === undefined) return []
    // Only ASCII letters, as on a server whose encoding is UTF-8.
    names.push(quoted?.replaceAll('""', '"') ?? plain!.replace(/[A-Z]+/g, (letters) => letters.toLowerCase()))
    more = end !== ''
  }
  return names
}

/** Words are separated by spaces, and a backslash escapes the next character. */
function wordsOf(options: string): readonly string[] {
  return [...options.matchAll(/(?:\\[^]|[^ \t\n\r\f\v\\])+/g)].map(([word]) => word.replace(/\\([^])/g, '$1'))
}

/** Switches of the server that take a value. Others may precede them in the same word, as in `-ec name=value`. */
const WITH_VALUE = /(?<=.)[BCDNSWcdfhkprtv-]/

/** The settings in `-c name=value` and `--name=value`. A dash in a name counts as an underscore, and case is ignored. */
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
