import Foundation
import TestSupport
import Testing

@testable import ChainruleData

/// Tables that Python's csv module has written: Tests/Fixtures/csv/csv.json, by generate.py beside it.
private struct WrittenTable: Decodable {
  let seed: Int
  let mode: String
  let delimiter: String
  let header: Bool
  let csv: String
  let cells: [[String]]

  static func all() throws -> [WrittenTable] {
    try JSONDecoder().decode(
      [WrittenTable].self, from: Data(contentsOf: fixtures.appending(path: "csv/csv.json")))
  }

  /// The number of columns: an empty last one, unquoted in every row, only says that each row ends with a
  /// delimiter.
  var columns: Int {
    let count = cells[0].count
    let isEmpty = mode == "minimal" && count > 1 && cells.allSatisfy { $0[count - 1].isEmpty }
    return isEmpty ? count - 1 : count
  }
}

extension CSVTable {
  /// The text of every cell of a column, empty ones too.
  fileprivate func cells(inColumn column: Int) throws -> [String] {
    try categories(inColumn: column, missing: MissingCells([""])).map { $0 ?? "" }
  }
}

@Suite("CSV that Python has written")
struct WrittenTests {
  @Test func `every cell reads back exactly, whatever the delimiter, the quoting and the line ends`() throws {
    let tables = try WrittenTable.all()
    #expect(tables.count == 400)
    var refused = 0
    for written in tables {
      let options = CSVOptions(header: written.header ? .yes : .no, delimiter: written.delimiter.first)
      let rows = written.header ? Array(written.cells.dropFirst()) : written.cells
      // No cell may hold the character NUL.
      let holdsNUL = written.cells.joined().contains { $0.unicodeScalars.contains("\0") }
      do {
        let table = try CSVTable(bytes: Array(written.csv.utf8), options: options)
        #expect(table.rows == rows.count && table.columns == written.columns, "seed \(written.seed)")
        for column in 0..<written.columns {
          let cells = try table.cells(inColumn: column)
          #expect(
            scalars(cells) == scalars(rows.map { $0[column] }),
            "seed \(written.seed), column \(column + 1): \(cells)")
        }
        #expect(
          scalars(table.columnNames)
            == (written.header ? scalars(Array(written.cells[0].prefix(written.columns))) : nil),
          "seed \(written.seed)")
        #expect(!holdsNUL, "seed \(written.seed)")
      } catch  where holdsNUL {
        #expect("\(error)".contains("the cell holds the character NUL"), "seed \(written.seed): \(error)")
        refused += 1
      } catch {
        Issue.record("seed \(written.seed): \(error)")
      }
    }
    #expect(refused > 20)
  }
}
