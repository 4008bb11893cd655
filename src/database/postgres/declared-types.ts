/** Maps a type name read from a file to a built-in type with its length or precision; `undefined`: anything else, which must not get into a statement. */
export function builtInType(type: string): string | undefined {
  const [, words = '', size = '', zone = '', array = ''] =
    /^([a-z0-9 ]{1,40}?)(\(\d{1,5}(?:,-?\d{1,5})?\))?( with(?:out)? time zone)?((?:\[\]){0,6})$/.exec(type.toLowerCase()) ?? []
  const full = `${words}${zone}`
  const name = CATALOGUE_NAMES.get(full) ?? (IN_THE_CATALOGUE.has(full) ? full : undefined)
  return name === undefined ? undefined : `pg_catalog.${name}${size}${array}`
}

/** Types that the catalogue has under the name that they are declared by. Includes those that SQLite's tables declare. */
const IN_THE_CATALOGUE: ReadonlySet<string> = new Set(
  `numeric text varchar bytea uuid json jsonb xml date timestamp interval inet cidr macaddr macaddr8 oid name bit
  int4range int8range numrange daterange tsrange tstzrange tsvector`.split(/\s+/),
)

/** The others, by the server's name of each. */
const CATALOGUE_NAMES: ReadonlyMap<string, string> = new Map([
  ['smallint', 'int2'],
  ['integer', 'int4'],
  ['bigint', 'int8'],
  ['real', 'float4'],
  ['double precision', 'float8'],
  ['boolean', 'bool'],
  ['character varying', 'varchar'],
  ['character', 'bpchar'],
  ['timestamp without time zone', 'timestamp'],
  ['timestamp with time zone', 'timestamptz'],
  ['time without time zone', 'time'],
  ['time with time zone', 'timetz'],
  ['bit varying', 'varbit'],
])
