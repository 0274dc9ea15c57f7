// What an IDEA message says of the ends of traffic.

export const list = (value) => (Array.isArray(value) ? value : value === undefined || value === null ? [] : [value]);

/** Addresses and names of a side. */
export function ends(sides) {
  return list(sides).flatMap((side) => [...list(side.IP4), ...list(side.IP6), ...list(side.Hostname)].map((end) => (typeof end === "object" ? JSON.stringify(end) : String(end))));
}

export function ports(sides) {
  return [...new Set(list(sides).flatMap((side) => list(side.Port)))];
}

export function protocols(...sides) {
  return [...new Set(sides.flatMap(list).flatMap((side) => list(side.Proto)))];
}

/** The first of them, and how many more there are. */
export function some(texts, most = 3) {
  return texts.length > most ? `${texts.slice(0, most).join(", ")} and ${texts.length - most} more` : texts.join(", ") || "–";
}
