// What a preset in policies/ says and no setting of its Exchange does, as edits of the preset's text, each with the reason.
//
// So `postern diff` can say of all the rest that there is no difference. docs/moving-in.md tells the same in words.

/** Why, and a text that stands once in the preset, and what stands there of it that the settings say. */
export type Edit = readonly [why: string, from: string, to: string];

const EDITS_2007: readonly Edit[] = [
  [
    'whose address is whose is known of those who have a mailbox, and of nobody else',
    `      own_address: required
      login_must_match: { 'CORP\\steven': [sales@example.com] }`,
    `      login_must_match: { 'CORP\\steven': [steven@example.com, sales@example.com], 'CORP\\alice': [alice@example.com] }`,
  ],
];
const EDITS_2010: readonly Edit[] = [
  [
    'whose address is whose is known of those who have a mailbox, and of nobody else',
    `      own_address: required # without ms-Exch-SMTP-Accept-Any-Sender: as oneself
      others: deny
      login_must_match: # and as these
        'CORP\\svc-erp': [orders@example.com, invoices@example.com]
        'CORP\\svc-crm': [news@example.com]
`,
    `      others: deny
      login_must_match:
        'CORP\\svc-erp': [orders@example.com, invoices@example.com, svc-erp@example.com]
        'CORP\\svc-crm': [news@example.com, svc-crm@example.com]
        'CORP\\alice': [alice@example.com]
        'CORP\\boss': [boss@example.com]
`,
  ],
  [
    'an address within the range of a connector is denied by another connector for it',
    `      - { name: infected-scanner, deny: { sources: [10.20.33.66] }, owner: it@example.com }
      - { name: accept-any-recipient, allow: {}, owner: it@example.com }
`,
    `      - { name: accept-any-recipient, allow: {}, owner: it@example.com }
  - name: infected-scanner
    remote_ip_ranges: [10.20.33.66]
`,
  ],
  [
    'a right to relay is one to every domain',
    `      - { name: suppliers, allow: { recipient_domains: ['*.supplier-a.example', supplier-b.example] } }
`,
    '',
  ],
];

const EDITS_55: readonly Edit[] = [
  [
    "which network a service is for is in no setting: --inside names it, in the rule, so that the service's own address is answered as well",
    '{ name: everyone-else, allow: {} }',
    '{ name: everyone-else, allow: { sources: [10.20.61.0/24] } }',
  ],
];
const EDITS_2000: readonly Edit[] = [
  [
    "servers of one organisation know each other by their login: by a setting they are addresses on the first server's list",
    `      - { name: single-computer, allow: { sources: [10.20.30.17] } }
`,
    `      - { name: single-computer, allow: { sources: [10.20.30.17, 10.20.0.26, 10.20.0.27] } }
`,
  ],
  [
    'the same',
    `  - name: other-servers
    remote_ip_ranges: [10.20.0.26, 10.20.0.27]
    exchange_verbs: forward
    rules:
      - { name: everything, allow: {} }
`,
    '',
  ],
];
const EDITS_2003: readonly Edit[] = [
  [
    'a login does not tie the sender, and anybody may use an address of ours',
    `    senders:
      own_domains: authenticated
      login_must_match: { 'CORP\\steven': [steven@example.com, sales@example.com] }
    rules:
      - { name: relay-permission, allow: { groups: [smtp-approved] } }
`,
    `    rules:
      - { name: relay-permission, allow: { groups: [smtp-approved] } }
      - { name: list, allow: { sources: [10.20.30.17, 10.20.31.0/24, 10.20.32.100-10.20.32.101] } }
      - { name: domain, allow: { ptr: [printers.example.com] } }
`,
  ],
  [
    'a name on the relay list is good wherever it comes from; the preset takes it from inside alone',
    `  - name: inside
    remote_ip_ranges: [10.20.0.0/16]
    replies: { relay: '550 5.7.1 Unable to relay for {recipient}', recipient: 550 5.1.1 User unknown }
    rules:
      - { name: list, allow: { sources: [10.20.30.17, 10.20.31.0/24, 10.20.32.100-10.20.32.101] }, owner: it@example.com }
      - { name: domain, allow: { ptr: [printers.example.com] } }
      - { name: relay-permission, allow: { groups: [smtp-approved] } }
`,
    '',
  ],
  [
    'a login does not tie the sender',
    `    senders:
      own_address: required # CORP\\alice sends as alice@example.com: user_domains
      login_must_match: { 'CORP\\steven': [sales@example.com] } # and Steven for sales as well
      others: deny
`,
    '',
  ],
  [
    'the global deny list holds at every virtual server; in the preset at the first one alone',
    `    submit: authenticated
`,
    `    connect: { deny: [198.51.100.0/24, 203.0.113.66] }
    submit: authenticated
`,
  ],
  [
    'the same',
    `    submit: { groups: [staff] }
`,
    `    connect: { deny: [198.51.100.0/24, 203.0.113.66] }
    submit: { groups: [staff] }
`,
  ],
  [
    'and so does the global accept list',
    `  # Users…, Submit Permission`,
    `  - name: restricted-accepted
    bindings: ['10.20.0.30:25']
    remote_ip_ranges: [198.51.100.25]
    submit: authenticated
  - name: client-accepted
    bindings: ['*:587']
    remote_ip_ranges: [198.51.100.25]
    submit: { groups: [staff] }
  # Users…, Submit Permission`,
  ],
];

export const UNSAYABLE: Readonly<Record<string, readonly Edit[]>> = {
  'exchange-5.5': EDITS_55,
  'exchange-2000': EDITS_2000,
  'exchange-2003': EDITS_2003,
  'exchange-2007': EDITS_2007,
  'exchange-2010': EDITS_2010,
};
