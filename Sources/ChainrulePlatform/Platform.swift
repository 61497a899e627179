// The system's C library and the essential part of Foundation, whatever they are called on this platform. A file that needs
// either says `internal import ChainrulePlatform`.

#if canImport(Darwin)
  @_exported import Darwin
#elseif canImport(Glibc)
  @_exported import Glibc
#elseif canImport(Musl)
  @_exported import Musl
#endif

// Linked statically, all of Foundation is 49 MB more than its essential part.
#if canImport(FoundationEssentials)
  @_exported import FoundationEssentials
#else
  @_exported import Foundation
#endif
