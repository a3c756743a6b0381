package wechatpay_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
)

// shop is a service that lists complaints, in any order that a test wants.
type shop struct {
	t          *testing.T
	days       []string // of each complaint, in the order in which they are listed
	ids        []string
	tooLarge   int // pages over this limit are refused; 0: none
	noTotal    bool
	afterPage  func(*shop)
	windows    []string // "begin end"
	limits     []int
	maxPerPage int // the most that a page holds whatever its limit; 0: no such bound
	grants     int // the most that limit is granted, and said to be; 0: as asked
}

func (s *shop) file(day string, id string, first bool) {
	if first {
		s.days, s.ids = slices.Insert(s.days, 0, day), slices.Insert(s.ids, 0, id)
	} else {
		s.days, s.ids = append(s.days, day), append(s.ids, id)
	}
}

func (s *shop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	begin, end := q.Get("begin_date"), q.Get("end_date")
	limit, _ := strconv.Atoi(q.Get("limit"))
	offset, _ := strconv.Atoi(q.Get("offset"))
	first, err := time.Parse(time.DateOnly, begin)
	require.NoError(s.t, err)
	last, err := time.Parse(time.DateOnly, end)
	require.NoError(s.t, err)
	require.LessOrEqual(s.t, last.Sub(first), 29*24*time.Hour)
	if window := begin + " " + end; !slices.Contains(s.windows, window) {
		s.windows = append(s.windows, window)
	}
	s.limits = append(s.limits, limit)
	if s.tooLarge > 0 && limit > s.tooLarge {
		reply(s.t, 400, `{"code":"PARAM_ERROR","message":"返回结果过大"}`)(w, r)
		return
	}
	var found []map[string]any
	for i, day := range s.days {
		if begin <= day && day <= end {
			found = append(found, map[string]any{"complaint_id": s.ids[i], "complaint_time": day + "T00:00:00+08:00"})
		}
	}
	if s.grants > 0 {
		limit = min(limit, s.grants)
	}
	answer := map[string]any{"limit": limit, "offset": offset}
	if offset == 0 && !s.noTotal {
		answer["total_count"] = len(found)
	}
	if s.maxPerPage > 0 {
		limit = min(limit, s.maxPerPage)
	}
	if offset < len(found) {
		answer["data"] = found[offset:min(offset+limit, len(found))]
	}
	body, err := json.Marshal(answer)
	require.NoError(s.t, err)
	reply(s.t, 200, string(body))(w, r)
	if s.afterPage != nil {
		s.afterPage(s)
	}
}

func (s *shop) client(now time.Time) *wechatpay.Client {
	_, server := newMock(s.t, s.ServeHTTP)
	cfg := testConfig(s.t, server.URL)
	cfg.InsecureSkipVerify = true // the clock is not the one that replies are signed under
	cfg.Time = func() time.Time { return now }
	client, err := wechatpay.NewClient(cfg)
	require.NoError(s.t, err)
	return client
}

func all(ctx context.Context, client *wechatpay.Client, req *wechatpay.ListComplaintsRequest) (ids []string, err error) {
	for complaint, err := range client.ComplaintsV2.All(ctx, req) {
		if err != nil {
			return ids, err
		}
		ids = append(ids, complaint.ComplaintID)
	}
	return ids, nil
}

// 95 days are walked in windows of 30 that neither overlap nor leave a gap; of
// the day of reading there is one more.
func TestAllWalksAnySpan(t *testing.T) {
	today := time.Date(2026, 6, 4, 15, 0, 0, 0, time.UTC) // 23:00 in Beijing
	s := &shop{t: t}
	begin := day(2026, 3, 2)
	var want []string
	for i := range 95 {
		date := begin.AddDate(0, 0, i).Format(time.DateOnly)
		for j := range 2 {
			id := fmt.Sprintf("%s/%d", date, j)
			s.file(date, id, false)
			want = append(want, id)
		}
	}
	s.file("2026-03-01", "before", false)
	s.file("2026-06-05", "after", false)

	got, err := all(context.Background(), s.client(today), &wechatpay.ListComplaintsRequest{BeginDate: begin, EndDate: day(2026, 6, 4), Limit: 7})
	require.NoError(t, err)
	require.Equal(t, want, got)
	require.Equal(t, []string{"2026-03-02 2026-03-31", "2026-04-01 2026-04-30", "2026-05-01 2026-05-30", "2026-05-31 2026-06-03", "2026-06-04 2026-06-04"}, s.windows)
}

func TestAllReadsADayPastWhileItIsStillFiledOn(t *testing.T) {
	s := &shop{t: t}
	midnight := time.Date(2026, 6, 5, 0, 5, 0, 0, time.FixedZone("", 8*3600))
	_, err := all(context.Background(), s.client(midnight), &wechatpay.ListComplaintsRequest{BeginDate: day(2026, 6, 1), EndDate: day(2026, 6, 30)})
	require.NoError(t, err)
	require.Equal(t, []string{"2026-06-01 2026-06-03", "2026-06-04 2026-06-30"}, s.windows)
}

// Complaints are filed while the pages are read, and come first or last.
func TestAllWhileComplaintsAreFiled(t *testing.T) {
	for _, first := range []bool{true, false} {
		t.Run(fmt.Sprintf("new ones first: %v", first), func(t *testing.T) {
			s := &shop{t: t}
			var want []string
			for i := range 25 {
				id := strconv.Itoa(i)
				s.file("2026-06-04", id, false)
				want = append(want, id)
			}
			filed := 0
			s.afterPage = func(s *shop) {
				if filed < 12 {
					for range 2 {
						filed++
						s.file("2026-06-04", fmt.Sprint("new", filed), first)
					}
				}
			}
			got, err := all(context.Background(), s.client(day(2026, 6, 4)), &wechatpay.ListComplaintsRequest{BeginDate: day(2026, 6, 4), EndDate: day(2026, 6, 4), Limit: 5})
			require.NoError(t, err)
			require.Equal(t, 12, filed)
			seen := map[string]int{}
			for _, id := range got {
				seen[id]++
				require.Equal(t, 1, seen[id], id)
			}
			for _, id := range want {
				require.Equal(t, 1, seen[id], id)
			}
		})
	}
}

// A page that is too large is asked for with half the limit, and so are those
// that follow; what is refused at limit 1 is the caller's to see.
func TestAllHalvesTheLimit(t *testing.T) {
	s := &shop{t: t, tooLarge: 20}
	for i := range 30 {
		s.file("2026-06-01", strconv.Itoa(i), false)
	}
	req := &wechatpay.ListComplaintsRequest{BeginDate: day(2026, 6, 1), EndDate: day(2026, 6, 2)}
	got, err := all(context.Background(), s.client(day(2026, 6, 4)), req)
	require.NoError(t, err)
	require.Len(t, got, 30)
	require.Equal(t, []int{50, 25, 12, 12, 12}, s.limits)

	client, _ := newMock(t, reply(t, 400, `{"code":"PARAM_ERROR","message":"complainted_mchid"}`))
	_, err = all(context.Background(), client, req)
	var refusal *wechatpay.APIError
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, "complainted_mchid", refusal.Message)

	calls := 0
	client, _ = newMock(t, func(w http.ResponseWriter, r *http.Request) {
		calls++
		reply(t, 403, `{"code":"NO_AUTH"}`)(w, r)
	})
	_, err = all(context.Background(), client, req)
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, 1, calls, "only a refusal of the parameters may mean that the page is too large")
}

// The end is found without a total, and with pages that hold fewer than asked.
func TestAllFindsTheEnd(t *testing.T) {
	for _, tt := range []struct {
		name       string
		noTotal    bool
		maxPerPage int
		grants     int
		count      int
	}{
		{"no total", true, 0, 0, 23}, {"no total, full last page", true, 0, 0, 20}, {"total, full last page", false, 0, 0, 20}, {"short pages", false, 3, 0, 23}, {"nothing", true, 0, 0, 0},
		{"no total, and a lower limit is granted", true, 0, 4, 23},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &shop{t: t, noTotal: tt.noTotal, maxPerPage: tt.maxPerPage, grants: tt.grants}
			for i := range tt.count {
				s.file("2026-06-01", strconv.Itoa(i), false)
			}
			got, err := all(context.Background(), s.client(day(2026, 6, 4)), &wechatpay.ListComplaintsRequest{BeginDate: day(2026, 6, 1), EndDate: day(2026, 6, 1), Limit: 10})
			require.NoError(t, err)
			require.Len(t, got, tt.count)
		})
	}
}

func TestAllStopsAtOnce(t *testing.T) {
	s := &shop{t: t}
	for i := range 30 {
		s.file("2026-06-01", strconv.Itoa(i), false)
	}
	client := s.client(day(2026, 6, 4))
	req := &wechatpay.ListComplaintsRequest{BeginDate: day(2026, 6, 1), EndDate: day(2026, 6, 1), Limit: 10}

	for range client.ComplaintsV2.All(context.Background(), req) {
		break
	}
	require.Len(t, s.limits, 1, "a page is fetched after a break")

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	given, last := 0, error(nil)
	for complaint, err := range client.ComplaintsV2.All(ctx, req) {
		require.NoError(t, last, "something comes after the error")
		if last = err; err != nil {
			require.Nil(t, complaint)
			continue
		}
		if given++; given == 3 {
			cancel()
		}
	}
	require.ErrorIs(t, last, context.Canceled)
	require.Equal(t, 3, given)
	require.Len(t, s.limits, 2)

	_, err := all(context.Background(), client, &wechatpay.ListComplaintsRequest{BeginDate: day(2026, 6, 1), EndDate: day(2026, 6, 1), Offset: 1})
	require.ErrorContains(t, err, "wechatpay: ComplaintsV2.All: invalid: Offset: 1: All begins at 0")
	_, err = all(context.Background(), client, nil)
	require.ErrorContains(t, err, "req: nil")
}

func TestAllNegotiationHistory(t *testing.T) {
	ids := []string{}
	for i := range 250 {
		ids = append(ids, strconv.Itoa(i))
	}
	pages := 0
	client, _ := newMock(t, func(w http.ResponseWriter, r *http.Request) {
		pages++
		require.Equal(t, "/v3/merchant-service/complaints-v2/a%2Fb/negotiation-historys", r.URL.EscapedPath())
		limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
		offset, _ := strconv.Atoi(r.URL.Query().Get("offset"))
		if limit > 50 {
			reply(t, 400, `{"code":"INVALID_REQUEST","message":"返回结果过大"}`)(w, r)
			return
		}
		body := ""
		for _, id := range ids[offset:min(offset+limit, len(ids))] {
			body += `,{"log_id":"` + id + `","operate_type":"USER_RESPONSE"}`
		}
		if body != "" {
			body = body[1:]
		}
		reply(t, 200, `{"data":[`+body+`],"limit":50,"offset":0,"total_count":250}`)(w, r)
		ids = append([]string{"new" + strconv.Itoa(pages)}, ids...)
	})
	seen := map[string]int{}
	for record, err := range client.ComplaintsV2.AllNegotiationHistory(context.Background(), "a/b") {
		require.NoError(t, err)
		seen[record.LogID]++
		require.Equal(t, 1, seen[record.LogID], record.LogID)
	}
	for i := range 250 {
		require.Equal(t, 1, seen[strconv.Itoa(i)])
	}

	for record, err := range client.ComplaintsV2.AllNegotiationHistory(context.Background(), "") {
		require.Nil(t, record)
		require.ErrorContains(t, err, "complaintID: empty")
	}
}
