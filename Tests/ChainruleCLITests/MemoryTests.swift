#if os(Linux)
  import Foundation
  import TestSupport
  import Testing

  /// Files that need more memory than the process may have.
  @Suite("Memory", .serialized)
  struct MemoryTests {
    private let place: Workplace

    init() throws { place = try Workplace() }

    /// Runs a line of bash in the folder, in which CHAINRULE is the program.
    private func bash(_ line: String) throws -> (status: Int32, errors: String) {
      let process = Process()
      process.executableURL = URL(fileURLWithPath: "/bin/bash")
      process.arguments = ["-c", line]
      process.environment = ProcessInfo.processInfo.environment.merging(
        ["CHAINRULE": try #require(program).path]
      ) { $1 }
      process.currentDirectoryURL = place.folder
      try place.write("", to: "errors")
      process.standardOutput = FileHandle.nullDevice
      process.standardError = try FileHandle(forWritingTo: place.url("errors"))
      try process.run()
      process.waitUntilExit()
      #expect(process.terminationReason == .exit)
      return (process.terminationStatus, try place.read("errors"))
    }

    /// The shell command that writes the header of an .npy file of bytes.
    private static func npy(_ rows: Int) -> String {
      let header = "{'descr': '|u1', 'fortran_order': False, 'shape': (\(rows), 10), }\\n"
      return "printf '\\223NUMPY\\001\\000\\\(String(header.count - 1, radix: 8))\\000%b' \"\(header)\""
    }

    @Test(arguments: [
      ("truncate -s 400M d", "d --format csv", "reading d: there is no memory for 419430401 bytes"),
      ("truncate -s 400M d", "d --format fann", "reading d: there is no memory for 419430401 bytes"),
      ("truncate -s 400M d", "- < d", "reading standard input: there is no memory for 419430401 bytes"),
      ("truncate -s 400M d", "<(cat d)", "there is no memory for "),
      ("head -c 200000000 /dev/zero | gzip -1 > d", "d --format csv", "unpacking d: there is no memory for "),
      (
        "\(npy(2_000_000)) > d; head -c 20000000 /dev/zero >> d", "d",
        "the 2000000 × 10 numbers of d: there is no memory for 160000000 bytes"
      ),
      (
        "\(npy(2_000_000)) > d; head -c 20000000 /dev/zero >> d; gzip -1 d; mv d.gz d", "d",
        "the 2000000 × 10 numbers of d: there is no memory for 160000000 bytes"
      ),
      (
        "(echo 1000000 40 1; yes 0 | head -c 82000000) > d", "d",
        "the inputs of d: there is no memory for 160000000 bytes"
      ),
    ])
    func `a file that is too large for memory is an error that states the bytes`(
      setUp: String, arguments: String, message: String
    ) throws {
      #expect(try bash(setUp).status == 0)
      let run = try bash("ulimit -v 367000; exec \"$CHAINRULE\" train \(arguments)")
      #expect(run.status == 1)
      #expect(run.errors.contains(message), "\(run.errors)")
      #expect(run.errors.contains("Free memory, raise the process's limit (ulimit -v)"), "\(run.errors)")
    }

    /// Not least a wait without end: Dispatch waits for memory where it has none for the stack of a thread.
    @Test(arguments: [
      "train d --target y --preset plain --categorical c --epochs 1 --threads 2",
      "train d --target y --stream --preset plain --categorical c --epochs 1", "evaluate m d --target y",
      "predict m d", "inspect m", "export m --to onnx", "export m --to c",
    ])
    func `under any limit of memory a command ends, well or with an error`(arguments: String) throws {
      let rows = (0..<5000).map { "\($0 % 7),\($0 % 5),uvw\($0 % 3),\($0 % 11)" }
      try place.write((["a,b,c,y"] + rows).joined(separator: "\n"), to: "d")
      let options = "--target y --preset plain --categorical c --epochs 1 --quiet"
      #expect(try bash("\"$CHAINRULE\" train d \(options) --save m").status == 0)
      var statuses: [Int32] = []
      for limit in stride(from: 140_000, through: 300_000, by: 40_000) {
        let run = try bash(
          "ulimit -v \(limit); MALLOC_ARENA_MAX=1 exec timeout --kill-after 1 60 \"$CHAINRULE\" \(arguments)")
        statuses.append(run.status)
        if run.status != 0 {
          #expect(run.status == 1, "\(limit): \(run.errors)")
          #expect(run.errors.contains("there is no memory for "), "\(limit): \(run.errors)")
        }
      }
      #expect(statuses.last == 0, "\(statuses)")
    }

    @Test func `a file that unpacks beyond the bound is refused without holding it`() throws {
      #expect(try bash("head -c 1200000000 /dev/zero | gzip -1 > d").status == 0)
      let run = try bash("ulimit -v 300000; exec \"$CHAINRULE\" train d --format csv")
      #expect(run.status == 65)
      #expect(
        run.errors.contains(
          "d: unpacked, the file has 1073741825 or more bytes; at most 1073741824 are unpacked into memory, the greater of "
            + "1 GiB and 100 times the "), "\(run.errors)")
    }

    /// 2.3 million parameters, 9 MB; as C they are 38 MB of text.
    @Test(arguments: ["c", "onnx"])
    func `an export takes memory for the model and not for what it writes`(format: String) throws {
      let options = "--epochs 1 --hidden 1500,1500 --preset plain --validation 0 --quiet"
      #expect(try bash("\"$CHAINRULE\" train iris \(options) --save m").status == 0)
      for output in ["--output out", "> shown"] {
        let run = try bash("ulimit -v 210000; exec \"$CHAINRULE\" export m --to \(format) \(output)")
        #expect(run.status == 0, "\(run.errors)")
      }
      #expect(try bash("cmp out shown").status == 0)
    }

    /// 2.3 million parameters, 9 MB.
    @Test func `an import takes memory for the file, the model and a layer`() throws {
      let options = "--epochs 1 --hidden 1500,1500 --preset plain --validation 0 --quiet"
      #expect(try bash("\"$CHAINRULE\" train iris \(options) --save m").status == 0)
      #expect(try bash("\"$CHAINRULE\" export m --to onnx --output m.onnx").status == 0)
      let run = try bash("ulimit -v 170000; exec \"$CHAINRULE\" import m.onnx --save imported")
      #expect(run.status == 0, "\(run.errors)")
    }
  }
#endif
