/** Maps a type name read from a file to a built-in type with its length or precision; `undefined`: anything else, which must not get into a statement. */
export function builtInType(type: string): string | undefined {
  const [, words = '', size = '', zone = '', array = ''] =
    /^([a-z0-9 ]{1,40}?)(\(\d{1,5}(?:,-?\d{1,5})?\))?( with(?:out)? time zone)?((?:\[\]){0,6})$/.exec(type.toLowerCase()) ?? []
  const full = `${words}${zone}`
  const name = Object.hasOwn(BUILT_IN_TYPES, full) ? BUILT_IN_TYPES[full] : undefined
  return name === undefined ? undefined : `pg_catalog.${name}${size}${array}`
}

/** The server's name of each type, and its name in the catalogue. Includes the types that SQLite's tables declare. */
const BUILT_IN_TYPES: Readonly<Record<string, string | undefined>> = {
  smallint: 'int2',
  integer: 'int4',
  bigint: 'int8',
  real: 'float4',
  'double precision': 'float8',
  numeric: 'numeric',
  boolean: 'bool',
  text: 'text',
  'character varying': 'varchar',
  character: 'bpchar',
  varchar: 'varchar',
  bytea: 'bytea',
  uuid: 'uuid',
  json: 'json',
  jsonb: 'jsonb',
  xml: 'xml',
  date: 'date',
  timestamp: 'timestamp',
  'timestamp without time zone': 'timestamp',
  'timestamp with time zone': 'timestamptz',
  'time without time zone': 'time',
  'time with time zone': 'timetz',
  interval: 'interval',
  inet: 'inet',
  cidr: 'cidr',
  macaddr: 'macaddr',
  macaddr8: 'macaddr8',
  oid: 'oid',
  name: 'name',
  bit: 'bit',
  'bit varying': 'varbit',
  int4range: 'int4range',
  int8range: 'int8range',
  numrange: 'numrange',
  daterange: 'daterange',
  tsrange: 'tsrange',
  tstzrange: 'tstzrange',
  tsvector: 'tsvector',
}
