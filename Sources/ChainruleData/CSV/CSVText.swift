// What is done to a CSV text before its rows are looked for: another encoding, and runs of spaces between cells.

/// The characters of a table: what stands between cells, and how its numbers are written.
struct CSVDialect: Sendable, Equatable {
  /// The byte between two cells. A table between whose cells stand runs of spaces is read as one with tabs.
  var delimiter: UInt8
  /// Whether runs of spaces and tabs stand between cells.
  var hasRuns: Bool
  var numbers: NumberFormat

  /// The delimiter as messages name it.
  var delimiterName: String {
    hasRuns
      ? "spaces" : delimiter == UInt8(ascii: "\t") ? "tabs" : "\"\(Character(UnicodeScalar(delimiter)))\""
  }

  /// The dialect that the options ask for, and what they leave open as the beginning of the text shows it.
  init(_ options: CSVOptions, of head: ArraySlice<UInt8>) throws(ChainruleError) {
    numbers = try NumberFormat(decimal: options.decimal, thousands: options.thousands)
    hasRuns = false
    guard let character = options.delimiter else {
      delimiter = UInt8(ascii: ",")
      // The decimal comma only where nothing else delimits: in quotes it does no harm.
      let candidates = Self.candidates.filter { $0.byte != numbers.decimal }
      for candidate in candidates where Self.fits(candidate, head) {
        (delimiter, hasRuns) = (candidate.byte, candidate.hasRuns)
        break
      }
      return
    }
    guard let byte = character.asciiValue, !"\"\r\n+-.0123456789eE".utf8.contains(byte), byte != 0 else {
      throw .invalidValue(
        name: "the delimiter", value: "\"\(character)\"",
        expected: "one ASCII character that is no part of a number, such as , or ;")
    }
    hasRuns = byte == UInt8(ascii: " ")
    delimiter = hasRuns ? UInt8(ascii: "\t") : byte
  }

  private typealias Candidate = (byte: UInt8, hasRuns: Bool)

  /// A comma comes late, since a decimal comma makes it as regular as the delimiter; spaces last, since they stand in
  /// names and times.
  private static let candidates: [Candidate] =
    "\t;|,".utf8.map { ($0, false) } + [(UInt8(ascii: "\t"), true)]

  /// Whether the first lines, up to 100, have the same number of cells by a delimiter, at least two. An empty cell at the
  /// end of a line may be one, or come of a delimiter after the last cell.
  private static func fits(_ candidate: Candidate, _ head: ArraySlice<UInt8>) -> Bool {
    let quote = UInt8(ascii: "\""), (lineFeed, carriageReturn) = (UInt8(ascii: "\n"), UInt8(ascii: "\r"))
    let text = candidate.hasRuns ? joiningRuns(in: Array(head))[...] : head
    var (lines, cells) = (0, 1)
    // The numbers of cells that every line so far may have: two of them, one above the other, or one.
    var (fewest, most) = (0, 0)
    var (isQuoted, isBlank, atStart, endsEmpty) = (false, true, true, false)
    for byte in text {
      if byte == quote, atStart || isQuoted {
        isQuoted.toggle()
        // A second quote at once is a quote in the cell.
        (isBlank, atStart, endsEmpty) = (false, true, false)
        continue
      }
      if isQuoted { continue }
      atStart = false
      if byte == candidate.byte {
        cells += 1
        (isBlank, atStart, endsEmpty) = (false, true, true)
      } else if byte == lineFeed || byte == carriageReturn {
        atStart = true
        if isBlank {
          cells = 1
          continue
        }
        let low = endsEmpty ? cells - 1 : cells
        (fewest, most) = lines == 0 ? (low, cells) : (max(fewest, low), min(most, cells))
        if fewest > most { return false }
        (lines, cells, isBlank, endsEmpty) = (lines + 1, 1, true, false)
        if lines == 100 { return most > 1 }
      } else if byte != UInt8(ascii: " ") {
        (isBlank, endsEmpty) = (false, false)
      }
    }
    return (lines == 0 ? cells : most) > 1
  }

  /// The text with each run of spaces and tabs between cells as one tab, and none around a line. Doing so again changes
  /// nothing.
  static func joiningRuns(in bytes: [UInt8]) -> [UInt8] {
    let (space, tab, quote) = (UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\""))
    let (lineFeed, carriageReturn) = (UInt8(ascii: "\n"), UInt8(ascii: "\r"))
    var joined: [UInt8] = []
    joined.reserveCapacity(bytes.count)
    var (isQuoted, atStart) = (false, true)
    for byte in bytes {
      if isQuoted {
        if byte == quote { isQuoted = false }
        joined.append(byte)
      } else if byte == space || byte == tab {
        if !atStart { joined.append(tab) }
        atStart = true
      } else if byte == lineFeed || byte == carriageReturn {
        if joined.last == tab { joined.removeLast() }
        joined.append(byte)
        atStart = true
      } else {
        // A second quote at once opens the cell again: a quote within it.
        isQuoted = byte == quote && (atStart || joined.last == quote)
        joined.append(byte)
        atStart = false
      }
    }
    return joined
  }
}

/// How a table writes its numbers.
struct NumberFormat: Sendable, Equatable {
  var decimal = UInt8(ascii: ".")
  var thousands: UInt8?

  init() {}

  init(decimal: Character, thousands: Character?) throws(ChainruleError) {
    guard let point = decimal.asciiValue, decimal == "." || decimal == "," else {
      throw .invalidValue(name: "the decimal separator", value: "\"\(decimal)\"", expected: "\".\" or \",\"")
    }
    self.decimal = point
    guard let thousands else { return }
    guard let byte = thousands.asciiValue, ",.' _".utf8.contains(byte), byte != point else {
      throw .invalidValue(
        name: "the thousands separator", value: "\"\(thousands)\"",
        expected: "one of , . ' _ or a space, and another than the decimal separator")
    }
    self.thousands = byte
  }

  /// Whether numbers are written as `decimalNumber` reads them.
  var isPlain: Bool { decimal == UInt8(ascii: ".") && thousands == nil }

  /// The number that `bytes[range]` spell; nil where they spell none. Groups behind a thousands separator have three
  /// digits, and there is none in the fraction.
  func number<Scalar: NetworkScalar>(in bytes: [UInt8], _ range: Range<Int>) -> Scalar? {
    if isPlain { return decimalNumber(in: bytes, range) }
    guard range.count <= 4096 else { return nil }
    var plain: [UInt8] = []
    var (digits, hasGroups, isFraction) = (0, false, false)
    for byte in bytes[range] {
      if !isFraction, let thousands, byte == thousands {
        guard hasGroups ? digits == 3 : 1...3 ~= digits else { return nil }
        (digits, hasGroups) = (0, true)
      } else if byte == decimal, !isFraction {
        if hasGroups, digits != 3 { return nil }
        isFraction = true
        plain.append(UInt8(ascii: "."))
      } else if byte == UInt8(ascii: "."), decimal != byte {
        return nil
      } else {
        if UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte {
          digits += 1
        } else if !isFraction, byte | 0x20 == UInt8(ascii: "e") {
          if hasGroups, digits != 3 { return nil }
          isFraction = true
        }
        plain.append(byte)
      }
    }
    if hasGroups, !isFraction, digits != 3 { return nil }
    return decimalNumber(in: plain, plain.indices)
  }
}

// MARK: - UTF-16

/// Turns UTF-16 with a byte order mark into UTF-8, piece by piece.
struct UTF16Decoder: Sendable {
  private let isBigEndian: Bool
  private var rest: [UInt8] = []

  /// Nil for a text that does not begin with a byte order mark of UTF-16. The mark is left in the text.
  init?(beginning bytes: some Collection<UInt8>) {
    if bytes.starts(with: [0xFF, 0xFE]) {
      isBigEndian = false
    } else if bytes.starts(with: [0xFE, 0xFF]) {
      isBigEndian = true
    } else {
      return nil
    }
  }

  /// The next bytes in UTF-8; half a character at their end waits for the next ones, or is a replacement character
  /// where there are none.
  mutating func decode(_ bytes: [UInt8], isLast: Bool) -> [UInt8] {
    let all = rest + bytes
    var units: [UInt16] = []
    units.reserveCapacity(all.count / 2)
    for index in stride(from: 0, to: all.count - 1, by: 2) {
      let (first, second) = (UInt16(all[index]), UInt16(all[index + 1]))
      units.append(isBigEndian ? first << 8 | second : second << 8 | first)
    }
    var taken = units.count * 2
    if !isLast, let last = units.last, UTF16.isLeadSurrogate(last) {
      units.removeLast()
      taken -= 2
    }
    rest = Array(all[taken...])
    var text: [UInt8] = []
    text.reserveCapacity(units.count)
    _ = transcode(units.makeIterator(), from: UTF16.self, to: UTF8.self, stoppingOnError: false) {
      text.append($0)
    }
    if isLast, !rest.isEmpty { text += Array("\u{FFFD}".utf8) }
    return text
  }
}
