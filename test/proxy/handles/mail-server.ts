// What a mail server makes of the octets that it reads. It believes them: a recipient that came by a way that nobody approved is
// one as good as any other. It reads them in any pieces, and has no socket.

const END = Buffer.from('\r\n.\r\n');

/** What a mail server makes of the octets that it reads. `says` is called with each reply. */
export class MailServer {
  readonly #says: (reply: string) => void;
  readonly #heard: Buffer[] = [];
  #line = ''; //          unfinished
  #inMailData = false;
  #tail = ''; //          the end of the mail data so far
  #counted = 0; //        octets of a BDAT to come
  readonly recipients: string[] = [];
  octets = 0; //          heard

  constructor(says: (reply: string) => void) {
    this.#says = says;
  }

  get heard(): Buffer {
    return Buffer.concat(this.#heard);
  }

  reads(octets: Buffer): void {
    this.#heard.push(octets);
    this.octets += octets.length;
    for (let at = 0; at < octets.length; ) {
      if (this.#inMailData) at = this.#readMailData(octets, at);
      else if (this.#counted > 0) at = this.#readCounted(octets, at);
      else at = this.#readLine(octets, at);
    }
  }

  #readMailData(octets: Buffer, at: number): number {
    // The end may stand across the octets that came before and these.
    const seam = this.#tail + octets.toString('latin1', at, at + END.length);
    const inSeam = seam.indexOf(END.toString());
    const behind = octets.indexOf(END, at);
    if (inSeam === -1 && behind === -1) {
      this.#tail = (this.#tail + octets.toString('latin1', Math.max(at, octets.length - END.length))).slice(
        1 - END.length,
      );
      return octets.length;
    }
    this.#inMailData = false;
    this.#says('250 2.0.0 queued\r\n');
    return END.length + (inSeam === -1 ? behind : at + inSeam - this.#tail.length);
  }

  #readCounted(octets: Buffer, at: number): number {
    const end = Math.min(octets.length, at + this.#counted);
    this.#counted -= end - at;
    if (this.#counted === 0) this.#says('250 2.0.0 so many octets\r\n');
    return end;
  }

  #readLine(octets: Buffer, at: number): number {
    const lineFeed = octets.indexOf('\n', at);
    const end = lineFeed === -1 ? octets.length : lineFeed + 1;
    this.#line += octets.toString('latin1', at, end);
    if (lineFeed !== -1) {
      const line = this.#line;
      this.#line = '';
      this.#take(line);
    }
    return end;
  }

  #take(line: string): void {
    const [verb = '', size] = line.trimEnd().split(' ');
    if (verb === 'EHLO') this.#says('250-mail.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 CHUNKING\r\n');
    else if (verb === 'DATA') {
      this.#says('354 go ahead\r\n');
      this.#inMailData = true;
      this.#tail = '\r\n';
    } else if (verb === 'BDAT') {
      this.#counted = Number(size);
      if (this.#counted === 0) this.#says('250 2.0.0 no octets\r\n');
    } else if (verb === 'QUIT') this.#says('221 2.0.0 bye\r\n');
    else {
      if (verb === 'RCPT') this.recipients.push(line);
      this.#says('250 2.0.0 ok\r\n');
    }
  }
}
