// Names as a list writes them one by one, and the spellings that would be nobody's: a star, a blank at the end, a slash for a
// backslash, a word that is a keyword elsewhere, two names in one text. Each is an error that says what was meant, for a deny
// of a name that nobody has denies nobody, and says nothing.
//
// How a name is then compared is lists.ts; domain patterns, which do take a star, are domains.ts.

/** Words that mean everybody in some place or other, and in a list of names only somebody who is called so. */
const EVERYBODY = /^(any|all|anyone|anybody|everyone|everybody|authenticated|anonymous)$/i;

export function isEverybody(text: string): boolean {
  return EVERYBODY.test(text);
}

/** What is wrong with a text that holds several entries of a list, cut at `separator`; null: it holds one. Words between blanks
 * are prose, and entries where each looks like one. */
export function several(text: string, separator = /[,;\s]/): string | null {
  if (!/[,;\s]/.test(text)) return null; // lists may be long
  const parts = text
    .split(separator)
    .map((part) => part.trim())
    .filter((part) => part !== '');
  if (parts.length < 2 || !(/[,;]/.test(text) || parts.every((part) => /[.:@\\]/.test(part)))) return null;
  const shown = parts.slice(0, 3).map((part) => `'${part}'`);
  return `'${text}' is several in one text: one a line, or a list is wanted, as [${shown.join(', ')}${parts.length > 3 ? ', …' : ''}]`;
}

/** What is wrong with a name without looking at what kind of name it is; null: nothing. */
export function whyNoName(text: string): string | null {
  const bare = text.trim();
  if (bare === '') return `'${text}' is empty: leave it out`;
  if (bare !== text) return `'${text}' has a blank at its end, and nothing else has: did you mean '${bare}'?`;
  const quoted = /^(['"])(.+)\1$/.exec(text);
  if (quoted !== null) return `${text} has quotes inside its quotes: did you mean '${quoted[2]}'?`;
  if (/^(yes|no|on|off|true|false|null|none|never|unlimited)$/i.test(text))
    return `'${text}' would be a name here: leave it out, or name who is meant`;
  if (text.startsWith('!'))
    return `'${text}' begins with an exclamation mark, and excludes nobody: not: { … } holds what is meant to be excluded`;
  const item = /^[-*•] +(.+)/.exec(text);
  if (item !== null) return `'${text}' begins with the mark of a list item: did you mean '${item[1]}'?`;
  return null;
}

/** Most logins: CORP\\steven or steven@example.com, with nothing in them that is looked at below. */
const PLAIN_USER = /^((?!builtin\\)[a-z0-9-]+\\[a-z0-9_-]+|[a-z0-9_-]+(\.[a-z0-9_-]+)*@[a-z0-9-]+(\.[a-z0-9-]+)+)$/i;

/** What is wrong with a name that takes no letters of East Asian width; null: nothing. */
export function whyTooWide(text: string): string | null {
  const wide = /[\uff01-\uff5e\u3002\uff61]/.exec(text)?.[0];
  if (wide === undefined) return null;
  const meant = text.normalize('NFKC').replaceAll('。', '.');
  return `'${text}' has '${wide}' in it, which is not '${wide.normalize('NFKC').replace('。', '.')}': did you mean '${meant}'?`;
}

/** What is wrong with the name of a login; null: nothing. */
export function whyNoUser(text: string): string | null {
  if (PLAIN_USER.test(text)) return null; // lists may be long
  const wrong = whyNoName(text) ?? whyTooWide(text);
  if (wrong !== null) return wrong;
  if (isEverybody(text))
    return `'${text}' would be a login of that name: who has logged in is authenticated: true, and no condition holds for everybody`;
  if (/[*?]/.test(text))
    return `'${text}': users are named one by one, and a star or question mark is only that; who has logged in is authenticated: true${text.includes('@') ? ', and who sends as somebody of a domain is sender_domains' : ''}`;
  if (/^[a-z]+ *=.*,/i.test(text))
    return `'${text}' is a distinguished name: logins are compared as they are said, as 'CORP\\steven' or steven@example.com`;
  if (/^S-1-[0-9-]+$/i.test(text))
    return `'${text}' is a SID: logins are compared by name, as 'CORP\\steven' or steven@example.com`;
  if (/^(NT AUTHORITY|BUILTIN)\\|(^|\\)(domain (users|admins|guests|computers)|authenticated users)$/i.test(text))
    return `'${text}' is a group of Windows, which nobody logs in as: list its members under groups`;
  const many = several(text, /[,;]/);
  if (many !== null) return many;
  if (/[<>"|,;]/.test(text))
    return `'${text}' is no login: the name alone is wanted, as 'CORP\\steven' or steven@example.com`;
  const prefix = /^([a-z]+):(.*)/i.exec(text);
  if (prefix !== null) return `'${text}' begins with '${prefix[1]}:': did you mean '${prefix[2]}'?`;
  if (/^%|%$|[$%{]\{/.test(text))
    return `'${text}': nothing is put in the place of a variable here; users are named one by one`;
  if (/^[^/]+\/$|^\//.test(text)) return `'${text}' has a slash: did you mean '${text.replace(/^\/+|\/+$/g, '')}'?`;
  if (text.includes('/'))
    return `'${text}' has a slash, and logins have a backslash: did you mean '${text.replaceAll('/', '\\')}'?`;
  if (text.includes('\\\\'))
    return `'${text}' has two backslashes: in single quotes and in files one is one, did you mean '${text.replace(/\\+/g, '\\')}'?`;
  if (/^\\|\\$|\\.*\\/.test(text)) return `'${text}' is no login: DOMAIN\\name is wanted, as 'CORP\\steven'`;
  if (text.startsWith('.\\'))
    return `'${text}' would be a login spelled so: did you mean '${text.slice(2)}', or DOMAIN\\${text.slice(2)}?`;
  if (text.endsWith('.')) return `'${text}' ends in a dot: did you mean '${text.replace(/\.+$/, '')}'?`;
  if (/@.*@|@.*\.\.|@\./.test(text)) return `'${text}' is no login: the name alone is wanted, as steven@example.com`;
  if (/^@|@$/.test(text)) return `'${text}' names nobody: users are named one by one, as steven@example.com`;
  return null;
}

/** What is wrong with a Windows domain as it stands before the backslash; null: nothing. */
export function whyNoWindowsDomain(text: string): string | null {
  const wrong = whyNoName(text) ?? whyTooWide(text);
  if (wrong !== null) return wrong;
  return /[\\/@*?,;:<>"|%=[\]\s]/.test(text)
    ? `'${text}': the domain alone is wanted, as CORP for 'CORP\\steven'`
    : null;
}
